import { Condition } from '../src/async/condition.js';
import type { Clock } from '../src/clock.js';

/** Lets a request wait for the end of another request's prefill, and so for its blocks. */
export class Prefills {
  private readonly conditions = new Map<string, Condition>();

  constructor(private readonly clock: Clock) {}

  /**
   * Resolves when the next prefill on the worker ends, in success or failure, or after `timeoutMs`. Rejects with `Cancelled` when `signal`
   * aborts.
   */
  async waitForEnd(worker: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const condition = this.conditions.get(worker) ?? new Condition(this.clock);
    this.conditions.set(worker, condition);
    try {
      await condition.wait(timeoutMs, signal);
    } finally {
      if (condition.waiters === 0 && this.conditions.get(worker) === condition) this.conditions.delete(worker);
    }
  }

  /** Wakes the requests that wait for a prefill on the worker. */
  ended(worker: string): void {
    this.conditions.get(worker)?.notifyAll();
  }
}
