/** A counting semaphore that grants permits in order of arrival. */
export class Semaphore {
  private readonly waiting: ((granted: boolean) => void)[] = [];
  private closed = false;

  constructor(private free: number) {}

  /** Waits for a permit, which the caller must `release`. Resolves with false once the semaphore is closed. */
  acquire(): Promise<boolean> {
    if (this.closed) return Promise.resolve(false);
    if (this.free > 0) {
      this.free--;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** Acquires a permit without waiting; false if none is free. */
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

  /** Grants no more permits: pending and later `acquire` calls resolve with false. */
  close(): void {
    this.closed = true;
    for (const resolve of this.waiting.splice(0)) resolve(false);
  }
}
