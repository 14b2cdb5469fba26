import type { Clock } from '../../src/clock.js';

/** Runs long jobs one after another, each in a separate turn, so that all of them together take at most half of the event loop. */
export class LongJobs {
  private last: Promise<void> = Promise.resolve();

  constructor(private readonly clock: Clock) {}

  /** Runs a job when its turn comes. Rejects with the job's errors. */
  async run<T>(job: () => T): Promise<T> {
    const before = this.last;
    let next = () => {};
    this.last = new Promise((resolve) => {
      next = resolve;
    });
    await before;
    await new Promise((resolve) => setImmediate(resolve));
    const startedMs = this.clock.now();
    try {
      return job();
    } finally {
      const tookMs = this.clock.now() - startedMs;
      if (tookMs > 0) this.clock.after(tookMs, next);
      else next();
    }
  }
}
