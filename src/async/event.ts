import { Cancelled } from '../errors.js';

/** An event that is set once and stays set; `wait` resolves when it is. */
export class OneTimeEvent {
  private isSet = false;
  private readonly waiting = new Set<() => void>();

  /** Wakes all waiters. Idempotent. */
  set(): void {
    this.isSet = true;
    for (const wake of this.waiting) wake();
    this.waiting.clear();
  }

  /**
   * Resolves when the event is set, at once if it already is.
   * @throws Cancelled if the signal aborts first
   */
  wait(signal: AbortSignal): Promise<void> {
    if (this.isSet) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.waiting.delete(wake);
        reject(new Cancelled('the caller cancelled the wait'));
      };
      const wake = () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      this.waiting.add(wake);
    });
  }
}
