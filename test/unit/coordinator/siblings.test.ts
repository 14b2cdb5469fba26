import { describe, expect, it } from 'vitest';
import { Siblings } from '../../../coordinator/siblings.js';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { SimulatedClock } from '../../../src/clock.js';
import { Overloaded } from '../../../src/errors.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';
import { FLEET_COORDINATORS, SUSPECT_AFTER_MS } from '../../../src/limits.js';
import { encode } from '../../../src/wire/msgpack.js';

const subjects = fleetSubjects('fleet');

function world() {
  const clock = new SimulatedClock();
  const broker = new MemoryBroker();
  const start = (id: string, pid = 1) => {
    const bus = broker.connect(`${id}-${pid}`);
    const siblings = new Siblings(bus, clock, subjects, { id, pid, host: 'h' });
    siblings.start();
    return { bus, siblings, ids: () => siblings.list().map((one) => one.id) };
  };
  return { clock, broker, start };
}

describe('coordinators', () => {
  it('know each other, and only themselves without a bus', async () => {
    const { clock, start } = world();
    const [b, a] = [start('b'), start('a')];
    await clock.advance(500);
    expect(a.ids()).toEqual(['a', 'b']);
    expect(b.ids()).toEqual(['a', 'b']);
    a.bus.lose();
    await clock.advance(10_000);
    expect(a.ids()).toEqual(['a']);
    a.bus.restore();
    await clock.advance(500);
    expect(a.ids()).toEqual(['a', 'b']);
  });

  it('see each other though they were given the same id', async () => {
    const { clock, start } = world();
    const [one, two] = [start('a', 1), start('a', 2)];
    await clock.advance(500);
    expect([one.ids(), two.ids()]).toEqual([
      ['a', 'a'],
      ['a', 'a'],
    ]);
  });

  it('forget a silent coordinator', async () => {
    const { clock, start } = world();
    const [a, b] = [start('a'), start('b')];
    await clock.advance(500);
    b.siblings.stop();
    await clock.advance(2 * SUSPECT_AFTER_MS + 500);
    expect(a.ids()).toEqual(['a']);
  });

  it('learn of new coordinators even after many strangers came and went', async () => {
    const { clock, broker, start } = world();
    const a = start('a');
    const strangers = broker.connect('strangers');
    for (let i = 0; i < FLEET_COORDINATORS + 5; i++)
      strangers.publish(subjects.coordinator, encode({ id: `stranger-${i}`, pid: 1, host: 'h' }));
    strangers.publish(subjects.coordinator, Uint8Array.of(1));
    await clock.advance(1);
    expect(a.ids().length).toBeLessThanOrEqual(FLEET_COORDINATORS + 1);
    await clock.advance(10_000);
    start('b');
    await clock.advance(1);
    expect(a.ids()).toEqual(['a', 'b']);
  });

  it('survive a bus that rejects messages', async () => {
    const { clock, start } = world();
    const a = start('a');
    a.bus.publish = () => {
      throw new Overloaded('too much waits');
    };
    await clock.advance(2_000);
    expect(a.ids()).toEqual(['a']);
  });
});
