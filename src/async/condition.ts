import type { Clock } from '../clock.js';
import { Cancelled } from '../errors.js';

/** A condition variable that wakes all waiters at once. Each waits for a bounded time. */
export class Condition {
  private readonly waiting = new Set<() => void>();

  constructor(private readonly clock: Clock) {}

  /** The number of pending `wait` calls. */
  get waiters(): number {
    return this.waiting.size;
  }

  /**
   * Resolves with true at the next `notifyAll`, or with false after `timeoutMs`.
   * @throws Cancelled if the signal aborts first
   */
  wait(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(cancelled());
      const leave = () => {
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
        this.waiting.delete(wake);
      };
      const wake = () => {
        leave();
        resolve(true);
      };
      const onAbort = () => {
        leave();
        reject(cancelled());
      };
      const timer = this.clock.after(timeoutMs, () => {
        leave();
        resolve(false);
      });
      this.waiting.add(wake);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  notifyAll(): void {
    for (const wake of [...this.waiting]) wake();
  }
}

function cancelled(): Cancelled {
  return new Cancelled('the caller cancelled the wait');
}
