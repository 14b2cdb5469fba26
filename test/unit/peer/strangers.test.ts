import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Strangers } from '../../../src/peer/wire/strangers.js';

const LIMITS = { connections: 4, perAddress: 3, perSecond: 10, burst: 5 };

/** Strangers who write down who was evicted. */
function open(limits = LIMITS) {
  const strangers = new Strangers(limits);
  const evicted: string[] = [];
  const enter = (name: string, nowMs = 0) => strangers.enter(name[0]!, nowMs, () => evicted.push(name));
  return { strangers, evicted, enter };
}

describe('strangers', () => {
  it('of one address lose their oldest to a new one of that address', () => {
    const { strangers, evicted, enter } = open();
    for (const name of ['a1', 'a2', 'a3', 'b1', 'a4']) enter(name);
    expect(evicted).toEqual(['a1']);
    expect(strangers.size).toBe(4);
  });

  it('lose the oldest of the most crowded address where all places are taken', () => {
    const { evicted, enter } = open();
    for (const name of ['b1', 'a1', 'a2', 'a3', 'c1', 'c2']) enter(name);
    expect(evicted).toEqual(['a1', 'a2']);
  });

  it('who left, because they proved themselves or were closed, take no place', () => {
    const { strangers, evicted, enter } = open({ ...LIMITS, burst: 100 });
    for (let i = 0; i < 50; i++) {
      const leave = enter(`a${i}`)!;
      leave();
      leave();
    }
    expect([strangers.size, evicted]).toEqual([0, []]);
  });

  it('are refused beyond their rate, by address', () => {
    const { enter } = open();
    const come = (nowMs: number) => ['a', 'a', 'a', 'a', 'a', 'a'].map((name) => enter(name, nowMs) !== null);
    expect(come(0)).toEqual([true, true, true, true, true, false]);
    expect(enter('b', 0)).not.toBeNull();
    expect(come(200)).toEqual([true, true, false, false, false, false]);
  });

  it('never exceed their places, and each one leaves or is evicted once', () => {
    const step = fc.record({ address: fc.constantFrom('a', 'b', 'c', 'd'), leaves: fc.nat(7), ms: fc.nat(300) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const strangers = new Strangers(LIMITS);
        const inside = new Map<number, { address: string; leave: () => void }>();
        let nowMs = 0;
        for (const [i, { address, leaves, ms }] of steps.entries()) {
          nowMs += ms;
          const leave = strangers.enter(address, nowMs, () => expect(inside.delete(i)).toBe(true));
          if (leave) inside.set(i, { address, leave });
          const gone = [...inside.keys()][leaves];
          if (gone !== undefined) {
            inside.get(gone)!.leave();
            inside.delete(gone);
          }
          const counts = ['a', 'b', 'c', 'd'].map(
            (one) => [...inside.values()].filter((s) => s.address === one).length,
          );
          expect(strangers.size).toBe(inside.size);
          expect(inside.size).toBeLessThanOrEqual(LIMITS.connections);
          expect(Math.max(...counts)).toBeLessThanOrEqual(LIMITS.perAddress);
        }
      }),
    );
  });
});
