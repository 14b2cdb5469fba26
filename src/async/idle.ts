/** A condition variable for one condition: that no work is left. */
export class IdleCondition {
  private waiters: (() => void)[] = [];

  /** `isIdle` says whether no work is left now. */
  constructor(private readonly isIdle: () => boolean) {}

  /** Resolves at once if no work is left, else at the first `notify` that finds none. */
  wait(): Promise<void> {
    if (this.isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  /** Wakes all waiters if no work is left. To be called after each change that may have ended the last work. */
  notify(): void {
    if (this.waiters.length === 0 || !this.isIdle()) return;
    const waiters = this.waiters;
    this.waiters = [];
    for (const resolve of waiters) resolve();
  }
}
