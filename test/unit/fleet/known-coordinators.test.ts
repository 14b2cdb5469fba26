import { describe, expect, it } from 'vitest';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { SealedBus } from '../../../src/bus/sealed-bus.js';
import { SimulatedClock, settled } from '../../../src/clock.js';
import { KnownCoordinators } from '../../../src/fleet/known-coordinators.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';
import { FLEET_COORDINATORS } from '../../../src/limits.js';
import { SystemRandom } from '../../../src/random.js';
import { encode } from '../../../src/wire/msgpack.js';

const subjects = fleetSubjects('fleet');

describe('the coordinators that a worker knows', () => {
  const broker = new MemoryBroker();
  const clock = new SimulatedClock(1);

  function member(id: string, incarnation: string, secret = 'a secret of the fleet'): SealedBus {
    const self = { id, incarnation };
    return new SealedBus({
      bus: broker.connect(id),
      clock,
      random: new SystemRandom(),
      secret,
      self,
      namespace: 'fleet',
    });
  }

  function opened(bus = member('worker', '1')): KnownCoordinators {
    const known = new KnownCoordinators(bus, subjects);
    known.start();
    return known;
  }

  /** Announces itself, as whom it says. */
  async function announce(bus: Pick<SealedBus, 'publish'>, id: string): Promise<void> {
    bus.publish(subjects.coordinator, encode({ id, pid: 1, host: 'h' }));
    for (let turn = 0; turn < 3; turn++) await settled();
  }

  it('are those that announced themselves, in that incarnation alone, until another process of the name does', async () => {
    const known = opened();
    expect(known.has('c', '1')).toBe(false);
    await announce(member('c', '1'), 'c');
    expect([known.has('c', '1'), known.has('c', '2'), known.has('d', '1')]).toEqual([true, false, false]);
    await announce(member('c', '2'), 'c');
    expect([known.has('c', '1'), known.has('c', '2')]).toEqual([false, true]);
    known.stop();
    await announce(member('c', '3'), 'c');
    expect(known.has('c', '2')).toBe(true);
  });

  it('are not those that another process names, that have another secret, or that nobody sealed for', async () => {
    const known = opened();
    await announce(member('other', '1'), 'e');
    await announce(member('f', '1', 'another secret'), 'f');
    await announce(broker.connect('g'), 'g');
    expect([known.has('e', '1'), known.has('f', '1'), known.has('g', '1')]).toEqual([false, false, false]);
    const unsealed = new KnownCoordinators(broker.connect('w'), subjects);
    unsealed.start();
    await announce(broker.connect('g'), 'g');
    expect(unsealed.has('g', '1')).toBe(false);
  });

  it('are bounded: the one that was heard least recently is forgotten', async () => {
    const known = opened();
    await announce(member('first', '1'), 'first');
    await announce(member('second', '1'), 'second');
    const again = member('first', '1');
    await announce(again, 'first');
    for (let i = 0; i < FLEET_COORDINATORS - 1; i++) await announce(member(`more-${i}`, '1'), `more-${i}`);
    expect([known.has('first', '1'), known.has('second', '1')]).toEqual([true, false]);
  });
});
