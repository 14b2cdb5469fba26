import { describe, expect, it } from 'vitest';
import { widenQuarter } from '../../../src/core/quarter.js';

const widened = (type: Parameters<typeof widenQuarter>[1], ...bytes: number[]) => [
  ...widenQuarter(Uint8Array.from(bytes), type),
];

describe('a number of one byte', () => {
  it('is an integer', () => {
    expect(widened('int8', 0, 1, 127, 128, 255)).toEqual([0, 1, 127, -128, -1]);
    expect(widened('uint8', 0, 128, 255)).toEqual([-128, 0, 127]);
  });

  it('is a float with 3 bits of mantissa, without infinities', () => {
    // The greatest number is 448, the least 2^-9.
    expect(widened('float8e4m3fn', 0x00, 0x01, 0x38, 0xb8, 0x7e, 0x08)).toEqual([0, 2 ** -9, 1, -1, 448, 2 ** -6]);
    expect(widened('float8e4m3fn', 0x7f, 0xff)).toEqual([Number.NaN, Number.NaN]);
  });

  it('is a float with 2 bits of mantissa', () => {
    expect(widened('float8e5m2', 0x00, 0x01, 0x3c, 0xbc, 0x7b)).toEqual([0, 2 ** -16, 1, -1, 57_344]);
    expect(widened('float8e5m2', 0x7c, 0xfc, 0x7d)).toEqual([Infinity, -Infinity, Number.NaN]);
  });
});
