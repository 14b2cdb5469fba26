/** A mutex over asynchronous work, and a lock of the same form that never blocks. */
export interface Lock {
  /** Runs `work` while holding the lock. The lock is not reentrant. */
  run<T>(work: () => Promise<T>): Promise<T>;
  /** Runs short synchronous work while the lock is free: at once, or as soon as the current holder is done. */
  runOutside(work: () => void): void;
}

/** Runs one piece of work at a time, in order of arrival. */
export class Mutex implements Lock {
  private last: Promise<unknown> = Promise.resolve();
  /** Calls of `run` that have not settled: the holder and all waiters. */
  private pending = 0;
  private readonly postponed: (() => void)[] = [];

  run<T>(work: () => Promise<T>): Promise<T> {
    this.pending += 1;
    const turn = this.last.then(work).finally(() => {
      this.pending -= 1;
      for (const postponed of this.postponed.splice(0)) postponed();
    });
    // A failure is reported to its own caller; the next waiter runs anyway.
    this.last = turn.catch(() => {});
    return turn;
  }

  runOutside(work: () => void): void {
    if (this.pending === 0) work();
    else this.postponed.push(work);
  }
}

/** A lock that never blocks. */
export const NO_LOCK: Lock = {
  run: (work) => work(),
  runOutside: (work) => work(),
};
