/** A number of things that may be going on at once; those who wait get their turn in the order in which they came. */
export class Semaphore {
  private readonly waiting: ((granted: boolean) => void)[] = [];
  private closed = false;

  constructor(private free: number) {}

  /** Waits for a permit, which must be given back. False if there will be none any more. */
  acquire(): Promise<boolean> {
    if (this.closed) return Promise.resolve(false);
    if (this.free > 0) {
      this.free--;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** Takes a permit if there is one at once. */
  tryAcquire(): boolean {
    if (this.closed || this.free === 0) return false;
    this.free--;
    return true;
  }

  release(): void {
    const next = this.waiting.shift();
    if (next) next(true);
    else this.free++;
  }

  /** Sends away all who wait, and all who come later. */
  close(): void {
    this.closed = true;
    for (const resolve of this.waiting.splice(0)) resolve(false);
  }
}
