import { Condition } from '../src/async/condition.js';
import type { Clock } from '../src/clock.js';

/** Prefills that this coordinator has placed and that are not over yet, so that a request can wait for the blocks that another leaves. */
export class Prefills {
  private readonly conditions = new Map<string, Condition>();

  constructor(private readonly clock: Clock) {}

  /**
   * Resolves when the next prefill at the worker is over, whatever came of it, or after `timeoutMs`. Rejects with `Cancelled` if the signal
   * comes first.
   */
  async next(worker: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const condition = this.conditions.get(worker) ?? new Condition(this.clock);
    this.conditions.set(worker, condition);
    try {
      await condition.wait(timeoutMs, signal);
    } finally {
      if (condition.waiters === 0 && this.conditions.get(worker) === condition) this.conditions.delete(worker);
    }
  }

  over(worker: string): void {
    this.conditions.get(worker)?.notifyAll();
  }
}
