import { beforeEach, describe, expect, it } from 'vitest';
import { LEASE_MS, Lease } from '../../../../coordinator/retention/lease.js';
import { MemoryKeyValue } from '../../../../src/bus/memory-key-value.js';
import { SimulatedClock } from '../../../../src/clock.js';

describe('a lease', () => {
  let kv: MemoryKeyValue;
  let clock: SimulatedClock;
  let first: Lease;
  let second: Lease;
  beforeEach(() => {
    kv = new MemoryKeyValue();
    clock = new SimulatedClock(1_000_000);
    first = new Lease({ kv, clock, self: 'first' });
    // Its clock is behind by a day, which makes no difference.
    second = new Lease({
      kv,
      clock: {
        ...clock,
        now: () => clock.now() - 86_400_000,
        after: clock.after.bind(clock),
        every: clock.every.bind(clock),
      },
      self: 'second',
    });
  });

  it('belongs to one process, which keeps its number as long as it renews', async () => {
    expect(await first.renew()).toBe(1);
    for (let i = 0; i < 10; i++) {
      expect(await second.renew()).toBeNull();
      await clock.advance(LEASE_MS / 2);
      expect(await first.renew()).toBe(1);
    }
  });

  it('goes to another, with a higher number, once no renewal was seen for its time', async () => {
    await first.renew();
    expect(await second.renew()).toBeNull();
    await clock.advance(LEASE_MS - 1);
    expect(await second.renew()).toBeNull();
    await clock.advance(1);
    expect(await second.renew()).toBe(2);
    expect(await first.renew()).toBeNull();
    expect(await first.raise(9)).toBeNull();
    await clock.advance(LEASE_MS);
    expect(await first.renew()).toBe(3);
  });

  it('is not lost to a process that has just come, however long the holder has been silent', async () => {
    await first.renew();
    await clock.advance(10 * LEASE_MS);
    expect(await second.renew()).toBeNull();
    expect(await first.renew()).toBe(1);
  });

  it('goes over at once when it is given back', async () => {
    await first.renew();
    await second.renew();
    await first.giveBack();
    expect(await second.renew()).toBe(2);
    await first.giveBack();
    expect(await second.renew()).toBe(2);
  });

  it('is raised above a number that others have seen', async () => {
    expect(await first.renew()).toBe(1);
    expect(await first.raise(7)).toBe(8);
    expect(await first.renew()).toBe(8);
    expect(await first.raise(3)).toBe(8);
    expect(await second.raise(20)).toBeNull();
  });

  it('is taken by one of several at once', async () => {
    const all = [first, second, new Lease({ kv, clock, self: 'third' })];
    const taken = await Promise.all(all.map((lease) => lease.renew()));
    expect(taken.filter((fence) => fence !== null)).toEqual([1]);
  });

  it('starts again if its value was lost or is not a lease', async () => {
    await first.renew();
    await first.raise(7);
    await kv.delete('lease');
    expect(await first.renew()).toBe(1);
    await kv.delete('lease');
    await kv.create('lease', Uint8Array.of(1, 2, 3));
    expect(await second.renew()).toBe(1);
  });
});
