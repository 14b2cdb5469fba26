import type { Clock } from '../../clock.js';
import { count as checkedCount, list, timeLimit } from './checked.js';

/** Waits for some of many promises. */

export interface WaitOptions {
  /** Default: 1. */
  readonly count?: number;
  readonly timeoutMs?: number;
}

export interface Waited<T> {
  /** Settled, in the order of the promises that were given. */
  readonly ready: readonly Promise<T>[];
  readonly pending: readonly Promise<T>[];
}

/** See `FleetClient.wait`. @throws InvalidRequest */
export function waitFor<T>(
  promises: readonly Promise<T>[],
  { count, timeoutMs }: WaitOptions,
  clock: Clock,
): Promise<Waited<T>> {
  const wanted = checkedCount('count', count, 1, 0, Number.MAX_SAFE_INTEGER);
  list('promises', promises);
  timeLimit(timeoutMs);
  const settled = new Set<Promise<T>>();
  return new Promise((resolve) => {
    const done = () => {
      timer?.cancel();
      resolve({
        ready: promises.filter((promise) => settled.has(promise)),
        pending: promises.filter((promise) => !settled.has(promise)),
      });
    };
    const timer = timeoutMs === undefined ? null : clock.after(timeoutMs, done);
    const enough = Math.min(wanted, new Set(promises).size);
    if (enough <= 0) done();
    for (const promise of promises) {
      const onSettled = () => {
        settled.add(promise);
        if (settled.size >= enough) done();
      };
      promise.then(onSettled, onSettled);
    }
  });
}
