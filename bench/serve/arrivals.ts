import type { Random } from '../../src/random.js';

/** When the requests of a load arrive. */

export type ArrivalProcess = 'poisson' | 'fixed';

/** Milliseconds from the start of the load to each arrival. `poisson`: the pauses are exponentially distributed; `fixed`: all are equal. */
export function arrivalTimes(arrivals: ArrivalProcess, count: number, perSecond: number, random: Random): number[] {
  let atMs = 0;
  return Array.from({ length: count }, () => {
    const nowMs = atMs;
    atMs += (1_000 / perSecond) * (arrivals === 'fixed' ? 1 : -Math.log(1 - random.next()));
    return nowMs;
  });
}
