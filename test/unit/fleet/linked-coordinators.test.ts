import { beforeEach, describe, expect, it } from 'vitest';
import type { ActorSystem } from '../../../src/actors/system.js';
import { SimulatedClock } from '../../../src/clock.js';
import { LinkedCoordinators } from '../../../src/fleet/linked-coordinators.js';
import { FLEET_COORDINATORS } from '../../../src/limits.js';
import { announcement } from '../../support/announcement.js';

const LEAVE = { id: 'w', incarnation: '1' };

describe('coordinators with a direct link to a worker', () => {
  let clock: SimulatedClock;
  let hears: boolean;
  let told: string[];
  let known: Set<string>;
  let linked: LinkedCoordinators;

  beforeEach(() => {
    clock = new SimulatedClock();
    hears = true;
    told = [];
    const actors = {
      linkedNodes: () => ['a', 'b'].map((node) => ({ node, incarnation: '1' })),
      ref: (_: unknown, { node }: { node: string }) => ({ tell: () => told.push(node) }),
    } as unknown as ActorSystem;
    const view = {
      get hears() {
        return hears;
      },
      isWorker: (id: string) => id === 'b',
    };
    known = new Set(['a 1', 'b 1', 'c 1']);
    const coordinators = { has: (id: string, incarnation: string) => known.has(`${id} ${incarnation}`) };
    linked = new LinkedCoordinators(actors, clock, view, coordinators);
  });

  /** Whom a message reaches directly. */
  const reached = (published: boolean) => {
    linked.tell('left', LEAVE, published);
    return told.splice(0);
  };

  it('get no messages while the bus carries those of the worker', () => {
    expect(reached(true)).toEqual([]);
  });

  it('all get the messages that the bus refused or may have lost', () => {
    expect(reached(false)).toEqual(['a', 'b']);
    hears = false;
    expect(reached(true)).toEqual(['a', 'b']);
  });

  it('are those that announced themselves and have a link, and no worker is one of them', () => {
    expect(linked.includes('a', '1')).toBe(true);
    expect([linked.includes('a', '2'), linked.includes('b', '1'), linked.includes('c', '1')]).toEqual([
      false,
      false,
      false,
    ]);
    known.delete('a 1');
    expect(linked.includes('a', '1')).toBe(false);
  });

  it('get direct news if they ask for it, for as long as they ask', async () => {
    expect(linked.follow('b', 1_000)).toBe(true);
    expect(reached(true)).toEqual(['b']);
    await clock.advance(900);
    expect(linked.follow('b', 1_000)).toBe(false);
    await clock.advance(900);
    expect(reached(true)).toEqual(['b']);
    await clock.advance(100);
    expect(reached(true)).toEqual([]);
    expect(linked.follow('b', 1_000)).toBe(true);
  });

  it('are told of other workers while they follow, once for each view of this worker that differs from theirs', async () => {
    expect(linked.differs('b', 'old', 'new')).toBe(false);
    linked.follow('b', 1_000);
    expect(linked.differs('b', 'same', 'same')).toBe(false);
    expect([linked.differs('b', 'old', 'new'), linked.differs('b', 'old', 'new')]).toEqual([true, false]);
    expect(linked.differs('b', 'new', 'newer')).toBe(true);
    linked.relay('b', announcement('x'));
    expect(told.splice(0)).toEqual(['b']);
    await clock.advance(1_000);
    linked.follow('b', 1_000);
    expect(linked.differs('b', 'old', 'newer')).toBe(true);
  });

  it('are remembered up to a bound', () => {
    for (let i = 0; i < FLEET_COORDINATORS; i++) linked.follow(`other-${i}`, 1_000);
    linked.follow('b', 1_000);
    expect(reached(true)).toEqual([]);
  });
});
