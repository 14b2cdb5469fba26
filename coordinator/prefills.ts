import type { Clock } from '../src/clock.js';
import { Cancelled } from '../src/errors.js';

/** Prefills that this coordinator has placed and that are not over yet, so that a request can wait for the blocks that another leaves. */
export class Prefills {
  private readonly waiting = new Map<string, Set<() => void>>();

  constructor(private readonly clock: Clock) {}

  /**
   * Resolves when the next prefill at the worker is over, whatever came of it, or after `timeoutMs`. Rejects with `Cancelled` if the signal
   * comes first.
   */
  next(worker: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(gone());
      const leave = () => {
        timer.cancel();
        signal.removeEventListener('abort', cancel);
        waiters.delete(go);
        if (waiters.size === 0 && this.waiting.get(worker) === waiters) this.waiting.delete(worker);
      };
      const go = () => {
        leave();
        resolve();
      };
      const cancel = () => {
        leave();
        reject(gone());
      };
      const waiters = this.waiting.get(worker) ?? new Set();
      const timer = this.clock.after(timeoutMs, go);
      this.waiting.set(worker, waiters.add(go));
      signal.addEventListener('abort', cancel, { once: true });
    });
  }

  over(worker: string): void {
    const waiters = this.waiting.get(worker);
    this.waiting.delete(worker);
    for (const go of [...(waiters ?? [])]) go();
  }
}

function gone(): Cancelled {
  return new Cancelled('the client went away');
}
