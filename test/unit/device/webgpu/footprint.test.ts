import fc from 'fast-check';
import { expect, test } from 'vitest';
import { footprintBytes } from '../../../../src/device/webgpu/footprint.js';

test('a footprint is at least the size of the buffer, and grows with it', () => {
  const bytes = fc.integer({ min: 1, max: 2 ** 30 });
  fc.assert(
    fc.property(bytes, bytes, (a, b) => {
      expect(footprintBytes(a)).toBeGreaterThanOrEqual(a);
      expect(footprintBytes(footprintBytes(a))).toBe(footprintBytes(a));
      if (a <= b) expect(footprintBytes(a)).toBeLessThanOrEqual(footprintBytes(b));
    }),
  );
  const KiB = 1024;
  expect([1, 100, 256, 300].map((n) => footprintBytes(n * KiB) / KiB)).toEqual([2, 128, 256, 512]);
  expect([3, 9, 20, 100, 130].map((n) => footprintBytes(n * KiB * KiB) / KiB / KiB)).toEqual([4, 12, 25, 128, 160]);
  expect(footprintBytes(161 * 2 ** 20 + 1)).toBe(161 * 2 ** 20 + 16);
});
