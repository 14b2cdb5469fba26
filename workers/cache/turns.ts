import { IdleCondition } from '../../src/async/idle.js';
import { Mutex } from '../../src/async/mutex.js';

/** Runs changes one after another, and knows when none is left. */
export class Turns {
  private readonly mutex = new Mutex();
  private pending = 0;
  private readonly idleCondition = new IdleCondition(() => this.pending === 0);

  async run<T>(change: () => Promise<T>): Promise<T> {
    this.pending++;
    try {
      return await this.mutex.run(change);
    } finally {
      this.pending--;
      this.idleCondition.notify();
    }
  }

  /** Resolves when no change runs or waits. */
  idle(): Promise<void> {
    return this.idleCondition.wait();
  }
}
