import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chunkSize } from '../../../src/core/chunk-size.js';

test('the greatest size, its half, or its quarter: the first that is short enough', () => {
  expect(chunkSize(256, 100, 0.1)).toBe(256);
  expect(chunkSize(256, 100, 0.5)).toBe(128);
  expect(chunkSize(256, 100, 1.5)).toBe(64);
  expect(chunkSize(256, 100, 50)).toBe(64);
});

test('the greatest size without a bound, and before the speed is measured', () => {
  expect(chunkSize(256, 0, 50)).toBe(256);
  expect(chunkSize(256, 100, null)).toBe(256);
});

test('never nothing, never more than the greatest size, and never more on a slower device', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.integer({ min: 0, max: 60_000 }),
      fc.double({ min: 0.001, max: 1_000, noNaN: true }),
      (mostTokens, pauseMs, msPerToken) => {
        const tokens = chunkSize(mostTokens, pauseMs, msPerToken);
        expect(tokens).toBeGreaterThan(0);
        expect(tokens).toBeLessThanOrEqual(mostTokens);
        expect(chunkSize(mostTokens, pauseMs, 2 * msPerToken)).toBeLessThanOrEqual(tokens);
      },
    ),
  );
});
