import { beforeEach, describe, expect, it } from 'vitest';
import { StoreTime } from '../../../../coordinator/retention/store-time.js';
import { MemoryKeyValue } from '../../../../src/bus/memory-key-value.js';
import { SimulatedClock } from '../../../../src/clock.js';

const DAY_MS = 86_400_000;
const VALUE = Uint8Array.of(1);

describe('the time of a store', () => {
  let clock: SimulatedClock;
  let aheadMs: number;
  let kv: MemoryKeyValue;
  let time: StoreTime;
  beforeEach(() => {
    clock = new SimulatedClock(7_000);
    aheadMs = 1_700_000_000_000;
    kv = new MemoryKeyValue(() => clock.now() + aheadMs);
    time = new StoreTime(kv, clock);
  });

  it('is not known from values that may be old', async () => {
    await kv.create('lease', VALUE);
    await clock.advance(DAY_MS);
    await time.get('lease');
    await time.get('lease');
    expect(time.latestMs).toBeNull();
    await clock.advance(60_000);
    await kv.update('lease', VALUE, (await kv.get('lease'))!.revision);
    await clock.advance(60_000);
    await time.get('lease');
    expect(time.latestMs).toBeNull();
  });

  it('is known from a value that changed between two readings, and follows the clock of the store', async () => {
    await kv.create('lease', VALUE);
    for (const jumpMs of [0, DAY_MS, -2 * DAY_MS]) {
      await time.get('lease');
      aheadMs += jumpMs;
      await clock.advance(500);
      await kv.update('lease', VALUE, (await kv.get('lease'))!.revision);
      const writtenMs = clock.now() + aheadMs;
      await clock.advance(500);
      await time.get('lease');
      expect(time.latestMs).toBe(writtenMs);
      await clock.advance(3_000);
      expect(await time.now()).toBe(writtenMs + 3_000);
    }
  });

  it('is asked for at once where it is needed, also by several processes', async () => {
    const others = [time, new StoreTime(kv, clock), new StoreTime(kv, clock)];
    const nowMs = clock.now() + aheadMs;
    expect(await Promise.all(others.map((each) => each.now()))).toEqual([nowMs, nowMs, nowMs]);
    expect(await new StoreTime(kv, clock).now()).toBe(nowMs);
  });
});
