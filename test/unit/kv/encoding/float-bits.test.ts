import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type NarrowFloat, narrow, widen } from '../../../../src/kv/encoding/float-bits.js';

/** Every code of a type with its number. */
function codesOf(dtype: NarrowFloat): { code: number; value: number }[] {
  const bytes = dtype === 'float8e4m3fn' ? new Uint8Array(256) : new Uint8Array(2 * 0x10000);
  const codes = dtype === 'float8e4m3fn' ? bytes : new Uint16Array(bytes.buffer);
  for (let code = 0; code < codes.length; code++) codes[code] = code;
  return Array.from(widen(dtype, bytes), (value, code) => ({ code, value }));
}

/** The code nearest to a number, of two the even one: by trying all that are not negative. */
function nearest(all: readonly { code: number; value: number }[], dtype: NarrowFloat, value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? (dtype === 'float8e4m3fn' ? 0x80 : 0x8000) : 0;
  const size = Math.abs(value);
  const [low, high] = [0, all.length / 2];
  const finite = all.slice(low, high).filter((each) => Number.isFinite(each.value));
  const last = finite.at(-1)!;
  // Half a step above the largest number begins what rounds to infinity, where there is one.
  const step = last.value - finite.at(-2)!.value;
  if (size >= last.value + step / 2) return sign | (dtype === 'float8e4m3fn' ? last.code : last.code + 1);
  let best = finite[0]!;
  for (const each of finite) {
    const [near, nearestSoFar] = [Math.abs(each.value - size), Math.abs(best.value - size)];
    if (near < nearestSoFar || (near === nearestSoFar && each.code % 2 === 0)) best = each;
  }
  return sign | best.code;
}

const codeOf = (dtype: NarrowFloat, value: number): number => {
  const bytes = narrow(dtype, Float32Array.of(value));
  return bytes.length === 1 ? bytes[0]! : bytes[0]! | (bytes[1]! << 8);
};

const TYPES: NarrowFloat[] = ['float16', 'bfloat16', 'float8e4m3fn'];

describe.each(TYPES)('%s', (dtype) => {
  const all = codesOf(dtype);

  it('comes back from float32 as it was, with zeros, subnormal numbers and infinities', () => {
    for (const { code, value } of all) {
      if (Number.isNaN(value)) expect(widen(dtype, narrow(dtype, Float32Array.of(value)))[0]).toBeNaN();
      else if (codeOf(dtype, value) !== code) expect.fail(`${value} has the code ${code}`);
    }
    expect(Object.is(widen(dtype, narrow(dtype, Float32Array.of(-0)))[0], -0)).toBe(true);
  });

  it('is the nearest number, of two the even one', { timeout: 120_000 }, () => {
    const some = fc.oneof(
      fc.float({ noNaN: true, noDefaultInfinity: true }),
      fc.float({ min: Math.fround(-600), max: Math.fround(600), noNaN: true }),
      fc.float({ min: Math.fround(-(2 ** -6)), max: Math.fround(2 ** -6), noNaN: true }),
      // Halfway between two codes, and beside that.
      fc
        .tuple(fc.nat(all.length / 2 - 2), fc.constantFrom(0, 1, -1))
        .map(([code, beside]) => Math.fround((all[code]!.value + all[code + 1]!.value) / 2) * (1 + beside * 2 ** -20))
        .filter(Number.isFinite)
        .map(Math.fround),
    );
    const runs = dtype === 'float8e4m3fn' ? 3_000 : 100;
    fc.assert(
      fc.property(some, (value) => {
        expect(codeOf(dtype, value)).toBe(nearest(all, dtype, value));
      }),
      { numRuns: runs },
    );
  });

  it('keeps NaN, and has the infinities that it can', () => {
    expect(widen(dtype, narrow(dtype, Float32Array.of(Number.NaN)))[0]).toBeNaN();
    const most = dtype === 'float8e4m3fn' ? 448 : Number.POSITIVE_INFINITY;
    expect([...widen(dtype, narrow(dtype, Float32Array.of(Infinity, -Infinity)))]).toEqual([most, -most]);
  });
});

it('reads elements that begin at any address', () => {
  const bytes = new Uint8Array([0, ...narrow('float16', Float32Array.of(1.5, -2))]).subarray(1);
  expect([...widen('float16', bytes)]).toEqual([1.5, -2]);
  // Small buffers of Node share memory.
  expect([...widen('float16', Buffer.from(bytes))]).toEqual([1.5, -2]);
});
