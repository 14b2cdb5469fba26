import { Cancelled } from '../errors.js';

/** Opens once; everybody who waits goes on then. */
export class OneTimeEvent {
  private isSet = false;
  private readonly waiting = new Set<() => void>();

  set(): void {
    this.isSet = true;
    for (const go of this.waiting) go();
    this.waiting.clear();
  }

  /** Rejects with `Cancelled` if the signal comes first. */
  wait(signal: AbortSignal): Promise<void> {
    if (this.isSet) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const give = () => {
        this.waiting.delete(go);
        reject(new Cancelled('the request was withdrawn while it waited for its prefix'));
      };
      const go = () => {
        signal.removeEventListener('abort', give);
        resolve();
      };
      if (signal.aborted) return give();
      signal.addEventListener('abort', give, { once: true });
      this.waiting.add(go);
    });
  }
}
