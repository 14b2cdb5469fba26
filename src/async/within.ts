import type { Clock } from '../clock.js';

/** Whether the promise was fulfilled within the time. It goes on in any case. */
export function within(clock: Clock, timeMs: number, promise: Promise<void>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(timeMs, () => resolve(false));
    promise.then(() => resolve(true), reject).finally(() => timer.cancel());
  });
}
