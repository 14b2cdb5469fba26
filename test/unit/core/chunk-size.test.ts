import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chunkSize } from '../../../src/core/chunk-size.js';

/** The size of a run of 256 tokens at most, in blocks of 64. */
const sizeOf = (pauseMs: number, msPerToken: number | null, mostTokens = 256) =>
  chunkSize({ mostTokens, blockTokens: 64, pauseMs, msPerToken });

test('the greatest size, its half, or its quarter: the first that is short enough', () => {
  expect(sizeOf(100, 0.1)).toBe(256);
  expect(sizeOf(100, 0.5)).toBe(128);
  expect(sizeOf(100, 1.5)).toBe(64);
  expect(sizeOf(100, 50)).toBe(64);
});

test('the greatest size without a bound, and before the speed is measured', () => {
  expect(sizeOf(0, 50)).toBe(256);
  expect(sizeOf(100, null)).toBe(256);
});

test('never less than a block, unless the greatest size is', () => {
  expect(sizeOf(100, 50, 128)).toBe(64);
  expect(sizeOf(100, 50, 100)).toBe(100);
  expect(sizeOf(100, 50, 16)).toBe(16);
});

test('never more than the greatest size, and never more on a slower device', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.integer({ min: 0, max: 60_000 }),
      fc.double({ min: 0.001, max: 1_000, noNaN: true }),
      (mostTokens, pauseMs, msPerToken) => {
        const tokens = sizeOf(pauseMs, msPerToken, mostTokens);
        expect(tokens).toBeGreaterThanOrEqual(Math.min(64, mostTokens));
        expect(tokens).toBeLessThanOrEqual(mostTokens);
        expect(sizeOf(pauseMs, 2 * msPerToken, mostTokens)).toBeLessThanOrEqual(tokens);
      },
    ),
  );
});
