import type { Clock } from '../clock.js';
import { Cancelled } from '../errors.js';

/** Wakes all requests that wait for the same thing. */
export class Condition {
  private readonly waiting = new Set<() => void>();

  constructor(private readonly clock: Clock) {}

  /** How many would hear it. */
  get waiters(): number {
    return this.waiting.size;
  }

  /** Resolves when it rings next, with true, or after `timeoutMs`, with false. Rejects with `Cancelled` if the signal comes first. */
  wait(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(gone());
      const leave = () => {
        timer.cancel();
        signal.removeEventListener('abort', cancel);
        this.waiting.delete(wake);
      };
      const wake = () => {
        leave();
        resolve(true);
      };
      const cancel = () => {
        leave();
        reject(gone());
      };
      const timer = this.clock.after(timeoutMs, () => {
        leave();
        resolve(false);
      });
      this.waiting.add(wake);
      signal.addEventListener('abort', cancel, { once: true });
    });
  }

  notifyAll(): void {
    for (const wake of [...this.waiting]) wake();
  }
}

function gone(): Cancelled {
  return new Cancelled('the client went away');
}
