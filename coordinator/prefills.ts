import type { Clock } from '../src/clock.js';
import { Bell } from './bell.js';

/** Prefills that this coordinator has placed and that are not over yet, so that a request can wait for the blocks that another leaves. */
export class Prefills {
  private readonly bells = new Map<string, Bell>();

  constructor(private readonly clock: Clock) {}

  /**
   * Resolves when the next prefill at the worker is over, whatever came of it, or after `timeoutMs`. Rejects with `Cancelled` if the signal
   * comes first.
   */
  async next(worker: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const bell = this.bells.get(worker) ?? new Bell(this.clock);
    this.bells.set(worker, bell);
    try {
      await bell.next(timeoutMs, signal);
    } finally {
      if (bell.listeners === 0 && this.bells.get(worker) === bell) this.bells.delete(worker);
    }
  }

  over(worker: string): void {
    this.bells.get(worker)?.ring();
  }
}
