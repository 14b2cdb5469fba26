import { expect, test } from 'vitest';
import { widenBfloat16, widenFloat16 } from '../../../../src/core/sampling/half.js';

test('float16 is widened exactly, including subnormal numbers, infinities and NaN', () => {
  const into = new Float32Array(9);
  widenFloat16(Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x8000, 0x7c00, 0xfc00, 0x7e00), into);
  expect(Array.from(into)).toEqual([
    1,
    -2,
    65504,
    2 ** -24,
    2 ** -14,
    -0,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    Number.NaN,
  ]);
});

test('bfloat16 is widened to a float32 with the same upper half', () => {
  const into = new Float32Array(3);
  widenBfloat16(Uint16Array.of(0x3f80, 0xc040, 0x7fc0), into);
  expect(Array.from(into)).toEqual([1, -3, Number.NaN]);
});
