import { describe, expect, it } from 'vitest';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { SimulatedClock, settled } from '../../../src/clock.js';
import { Unavailable } from '../../../src/errors.js';
import { BucketKeeper } from '../../../src/fleet/bucket-keeper.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';

const subjects = fleetSubjects('fleet');

function stage(first: () => Promise<void> = async () => undefined) {
  const broker = new MemoryBroker();
  const clock = new SimulatedClock();
  const [bus, newcomer] = [broker.connect('member'), broker.connect('newcomer')];
  let checked = 0;
  const count = async () => {
    checked++;
  };
  const keeper = new BucketKeeper({ bus, clock, subjects, checks: [first, count] });
  keeper.start();
  const hello = async () => {
    newcomer.publish(subjects.hello, new Uint8Array());
    await settled();
  };
  return { clock, bus, keeper, hello, checked: () => checked };
}

describe('a keeper of the buckets', () => {
  it('checks every five seconds, and as soon as the bus is found again', async () => {
    const { clock, bus, checked } = stage();
    await clock.advance(10_000);
    expect(checked()).toBe(2);
    bus.lose();
    bus.restore();
    await settled();
    expect(checked()).toBe(3);
  });

  it('checks at once when a new process starts, and once a second however many start', async () => {
    const { clock, hello, checked } = stage();
    await hello();
    await clock.advance(1);
    expect(checked()).toBe(1);
    for (let i = 0; i < 100; i++) await hello();
    await clock.advance(900);
    expect(checked()).toBe(1);
    await clock.advance(200);
    expect(checked()).toBe(2);
  });

  it('continues with the other checks if one fails, and tries that one again', async () => {
    let failures = 0;
    const { clock, checked } = stage(async () => {
      failures++;
      throw new Unavailable('the bucket has no leader');
    });
    await clock.advance(10_000);
    expect([failures, checked()]).toEqual([2, 2]);
  });

  it('runs one check at a time', async () => {
    let end = (): void => undefined;
    const { keeper, checked } = stage(() => new Promise((resolve) => (end = resolve)));
    const both = Promise.all([keeper.check(), keeper.check()]);
    end();
    await both;
    expect(checked()).toBe(1);
  });

  it('leaves no timer and no subscription when it stops', async () => {
    const { clock, keeper, hello, checked } = stage();
    await hello();
    keeper.stop();
    await hello();
    await clock.advance(10_000);
    expect(checked()).toBe(0);
    expect(clock.nextAtMs()).toBeNull();
  });
});
