import type { Clock } from '../clock.js';

/** Resolves with whether `promise` is fulfilled within `timeMs`; rejects if it rejects in that time. Cancels nothing. */
export function within(clock: Clock, timeMs: number, promise: Promise<void>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(timeMs, () => resolve(false));
    promise.then(() => resolve(true), reject).finally(() => timer.cancel());
  });
}
