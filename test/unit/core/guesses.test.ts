import fc from 'fast-check';
import { expect, test } from 'vitest';
import { draftLength } from '../../../src/core/draft-length.js';
import { GuessCost } from '../../../src/core/guess-cost.js';
import { GuessOdds } from '../../../src/core/guess-odds.js';

test('sure guesses are as long as they may be, hopeless ones are not made', () => {
  expect(draftLength({ right: 1, cost: 0.2 }, 12)).toBe(12);
  expect(draftLength({ right: 0, cost: 0.2 }, 12)).toBe(0);
  expect(draftLength({ right: 1, cost: 0.2 }, 0)).toBe(0);
  expect(draftLength({ right: 0.5, cost: 0.6 }, 12)).toBe(0);
});

test('property: no other length has more tokens for the time', () => {
  const odds = fc.record({
    right: fc.double({ min: 0, max: 1, noNaN: true }),
    cost: fc.double({ min: 0, max: 2, noNaN: true }),
  });
  fc.assert(
    fc.property(odds, fc.integer({ min: 0, max: 31 }), ({ right, cost }, most) => {
      const tokens = (length: number) =>
        Array.from({ length: length + 1 }, (_, i) => right ** i).reduce((a, b) => a + b);
      const rate = (length: number) => tokens(length) / (1 + length * cost);
      const chosen = draftLength({ right, cost }, most);
      for (let length = 0; length <= most; length++) expect(rate(chosen)).toBeGreaterThanOrEqual(rate(length) - 1e-9);
    }),
  );
});

test('the odds follow what was right, and forget', () => {
  const odds = new GuessOdds();
  for (let i = 0; i < 20; i++) odds.observe(4, 4);
  expect(odds.right).toBeGreaterThan(0.95);
  for (let i = 0; i < 20; i++) odds.observe(4, 0);
  expect(odds.right).toBeLessThan(0.05);
  for (let i = 0; i < 60; i++) odds.observe(8, 1);
  expect(odds.right).toBeGreaterThan(0.4);
  expect(odds.right).toBeLessThan(0.6);
});

test('the cost is that of a guessed token beside a step', () => {
  const cost = new GuessCost();
  const unknown = cost.perToken;
  cost.verified(4, 100);
  expect(cost.perToken).toBe(unknown);
  for (let i = 0; i < 60; i++) {
    cost.stepped(20);
    cost.verified(4, 36);
  }
  expect(cost.perToken).toBeCloseTo(0.2, 2);
  // A run that was held up for a second, and one that was faster than a step.
  cost.verified(1, 1_000);
  expect(cost.perToken).toBeLessThan(0.4);
  for (let i = 0; i < 100; i++) cost.verified(4, 10);
  expect(cost.perToken).toBeCloseTo(0, 2);
});
