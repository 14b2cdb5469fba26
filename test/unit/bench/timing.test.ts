import { describe, expect, it } from 'vitest';
import { callsPerSecond, itemsPerSecond, roundTrips } from '../../../bench/timing.js';

/** A clock that stands still unless a call moves it. */
class Stopwatch {
  ms = 0;
  readonly now = () => this.ms;
  /** A call that takes this long, during which nothing else runs. */
  readonly call = (ms: number) => async () => {
    this.ms += ms;
  };
}

describe('timing', () => {
  it('gives the microseconds of each call, and stops when the time is up', async () => {
    const watch = new Stopwatch();
    expect(await roundTrips(watch.call(2), 5, watch.now)).toEqual([2000, 2000, 2000]);
  });

  it('counts the calls that many callers complete', async () => {
    const watch = new Stopwatch();
    let inFlight = 0;
    let most = 0;
    const call = async () => {
      most = Math.max(most, ++inFlight);
      await Promise.resolve();
      watch.ms += 1;
      inFlight--;
    };
    expect(await callsPerSecond(call, 4, 100, watch.now)).toBeCloseTo(1000);
    expect(most).toBe(4);
  });

  it('counts the items of a stream', async () => {
    const watch = new Stopwatch();
    async function* items() {
      for (let i = 0; i < 3; i++) {
        await watch.call(500)();
        yield i;
      }
    }
    expect(await itemsPerSecond(items(), watch.now)).toBe(2);
  });
});
