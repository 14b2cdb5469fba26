import type { Clock } from '../src/clock.js';
import { Cancelled } from '../src/errors.js';

/** Wakes all requests that wait for the same thing. */
export class Bell {
  private readonly waiting = new Set<() => void>();

  constructor(private readonly clock: Clock) {}

  /** How many would hear it. */
  get listeners(): number {
    return this.waiting.size;
  }

  /** Resolves when it rings next, with true, or after `timeoutMs`, with false. Rejects with `Cancelled` if the signal comes first. */
  next(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
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

  ring(): void {
    for (const wake of [...this.waiting]) wake();
  }
}

function gone(): Cancelled {
  return new Cancelled('the client went away');
}
