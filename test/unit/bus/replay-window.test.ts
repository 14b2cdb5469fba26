import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ReplayWindow } from '../../../src/bus/replay-window.js';

test('a window accepts each counter once, and none that is older than its size', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 300 }), (counters) => {
      const window = new ReplayWindow(64);
      const seen = new Set<number>();
      let highest = 0;
      for (const counter of counters) {
        const expected = counter <= highest - 64 ? 'old' : seen.has(counter) ? 'repeated' : 'first';
        expect(window.record(counter)).toBe(expected);
        if (expected === 'first') seen.add(counter);
        highest = Math.max(highest, counter);
      }
    }),
  );
});

test('a window works beyond 32 bits', () => {
  const window = new ReplayWindow(32);
  const start = 2 ** 40;
  expect([start, start - 1, start, start + 40, start + 1].map((counter) => window.record(counter))).toEqual([
    'first',
    'first',
    'repeated',
    'first',
    'old',
  ]);
});
