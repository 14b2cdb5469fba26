import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KnownCalls } from '../../../src/actors/known-calls.js';

describe('known calls', () => {
  it('take no call for new that has arrived before, however long ago, and every call for new that comes in order', () => {
    const arrival = fc.record({ caller: fc.constantFrom('a', 'b', 'c'), again: fc.nat(200), isAgain: fc.boolean() });
    fc.assert(
      fc.property(fc.array(arrival, { maxLength: 400 }), fc.integer({ min: 1, max: 20 }), (arrivals, remembered) => {
        const known = new KnownCalls(remembered);
        const last = new Map<string, number>();
        for (const { caller, again, isAgain } of arrivals) {
          const newest = last.get(caller) ?? 0;
          if (isAgain && newest > 0) expect(known.of(caller, 1 + (again % newest))).not.toBe('new');
          // A caller counts the calls to all nodes.
          const id = newest + 1 + (again % 3);
          for (const skipped of [newest + 1, newest + 2].filter((each) => each < id)) known.add(caller, skipped);
          expect(known.of(caller, id)).toBe('new');
          known.add(caller, id);
          last.set(caller, id);
        }
      }),
    );
  });

  it('know the newest calls of all callers', () => {
    const known = new KnownCalls(10);
    for (let id = 1; id <= 100; id++) known.add('a', id);
    for (let id = 91; id <= 100; id++) expect(known.of('a', id)).toBe('known');
    expect([known.of('a', 5), known.of('a', 101), known.of('b', 5)]).toEqual(['forgotten', 'new', 'new']);
  });

  it('forget callers at a limit, those first whose calls were forgotten first', () => {
    const known = new KnownCalls(1);
    for (let caller = 0; caller <= 5_000; caller++) known.add(`caller ${caller}`, 7);
    expect([known.of('caller 3000', 7), known.of('caller 3', 7)]).toEqual(['forgotten', 'new']);
  });
});
