import { setImmediate } from 'node:timers/promises';
import type { SimulatedClock } from '../../src/clock.js';

/** Lets virtual time pass until a promise is settled. Resolves or rejects with it. */
export async function passTime<T>(clock: SimulatedClock, outcome: Promise<T>): Promise<T> {
  let over = false;
  const end = () => {
    over = true;
  };
  outcome.then(end, end);
  for (await setImmediate(); !over; await setImmediate()) await clock.advance(10);
  return outcome;
}
