/** Whether a worker is cut off from all other processes of its fleet: a fault that an operator asked for, so that people can watch the fleet heal. */
export class Cut {
  private on = false;
  private readonly listeners: (() => void)[] = [];

  get active(): boolean {
    return this.on;
  }

  /** Calls `listener` after each beginning and each end. */
  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  begin(): void {
    this.set(true);
  }

  end(): void {
    this.set(false);
  }

  private set(on: boolean): void {
    if (this.on === on) return;
    this.on = on;
    for (const listener of this.listeners) listener();
  }
}
