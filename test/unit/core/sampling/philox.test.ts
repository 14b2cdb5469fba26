import fc from 'fast-check';
import { expect, test } from 'vitest';
import { philox4x32, uniformAt } from '../../../../src/core/sampling/philox.js';

test('philox matches the known-answer tests of Random123', () => {
  expect(philox4x32([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  const ones = 0xffffffff;
  expect(philox4x32([ones, ones, ones, ones], [ones, ones])).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  expect(philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])).toEqual([
    0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1,
  ]);
});

test('a draw depends only on seed and position, and lies in [0, 1)', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat(2 ** 31), (seed, position) => {
      const draw = uniformAt(seed, position);
      expect(draw).toBe(uniformAt(seed, position));
      expect(draw).toBeGreaterThanOrEqual(0);
      expect(draw).toBeLessThan(1);
      expect(draw).not.toBe(uniformAt(seed, position + 1));
    }),
  );
});

test('all 53 bits of the seed count', () => {
  const draws = new Set<number>();
  for (let bit = 0; bit < 53; bit++) draws.add(uniformAt(2 ** bit, 7));
  expect(draws.size).toBe(53);
});

test('draws over positions are uniform (chi-square over 64 cells)', () => {
  const cells = new Float64Array(64);
  const draws = 64_000;
  for (let position = 0; position < draws; position++) cells[Math.floor(uniformAt(42, position) * 64)]! += 1;
  const expected = draws / 64;
  const chiSquare = cells.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
  // 63 degrees of freedom: 0.0001 quantiles.
  expect(chiSquare).toBeGreaterThan(28);
  expect(chiSquare).toBeLessThan(114);
});
