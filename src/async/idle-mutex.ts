import { IdleCondition } from './idle.js';
import { Mutex } from './mutex.js';

/** A mutex that knows when no work holds it or waits for it. */
export class IdleMutex {
  private readonly mutex = new Mutex();
  private pending = 0;
  private readonly idleCondition = new IdleCondition(() => this.pending === 0);

  async run<T>(work: () => Promise<T>): Promise<T> {
    this.pending++;
    try {
      return await this.mutex.run(work);
    } finally {
      this.pending--;
      this.idleCondition.notify();
    }
  }

  /** Resolves when no work runs or waits. */
  idle(): Promise<void> {
    return this.idleCondition.wait();
  }
}
