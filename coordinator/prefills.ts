import { Cancelled } from '../src/errors.js';

/** Prefills that this coordinator has placed and that are not over yet, so that a request can wait for the blocks that another leaves. */
export class Prefills {
  private readonly waiting = new Map<string, Set<() => void>>();

  /** Resolves when the next prefill at the worker is over, whatever came of it. Rejects with `Cancelled` if the signal comes first. */
  next(worker: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiters = this.waiting.get(worker) ?? new Set();
      this.waiting.set(worker, waiters);
      const cancel = () => {
        waiters.delete(go);
        reject(new Cancelled('the client went away'));
      };
      const go = () => {
        signal.removeEventListener('abort', cancel);
        resolve();
      };
      if (signal.aborted) return cancel();
      signal.addEventListener('abort', cancel, { once: true });
      waiters.add(go);
    });
  }

  over(worker: string): void {
    const waiters = this.waiting.get(worker);
    this.waiting.delete(worker);
    for (const go of waiters ?? []) go();
  }
}
