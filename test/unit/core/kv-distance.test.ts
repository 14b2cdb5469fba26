import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agrees, kvDistance } from '../../../src/core/kv-distance.js';
import { blockBytes, type KvElementType, type KvLayout } from '../../../src/core/kv-layout.js';

const layoutOf = (elementType: KvElementType): KvLayout => ({
  layers: 2,
  kvHeads: 2,
  headDim: 4,
  blockTokens: 8,
  elementType,
});
const FLOAT32 = layoutOf('float32');
const FLOATS = blockBytes(FLOAT32) / 4;
const values = fc.float32Array({ minLength: FLOATS, maxLength: FLOATS, noNaN: true, min: -4, max: 4 });

const bytesOf = (floats: Float32Array) => new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);

/** Rounds to bfloat16. */
function halves(floats: Float32Array): Uint8Array {
  const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  return new Uint8Array(Uint16Array.from(bits, (one) => (one + 0x8000) >>> 16).buffer);
}

describe('the distance of two blocks', () => {
  it('counts states, each by the rounding of its own type', () => {
    const layout: KvLayout = { ...layoutOf('float16'), states: [{ dims: [2, 3], elementType: 'float32' }] };
    const reference = new Uint8Array(blockBytes(layout));
    const states = new Float32Array(reference.buffer, blockBytes(layoutOf('float16')), 6).fill(1);
    const block = reference.slice();
    expect(agrees(layout, reference, block)).toBe(true);
    states[5] = 1.001;
    expect(agrees(layout, reference, block)).toBe(true);
    states[5] = 1.02;
    expect(agrees(layout, reference, block)).toBe(false);
  });

  it('is zero for equal ones, whatever they hold', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: blockBytes(FLOAT32), maxLength: blockBytes(FLOAT32) }), (bytes) => {
        expect(kvDistance(FLOAT32, bytes, bytes.slice())).toEqual({ rms: 0, largest: 0 });
      }),
    );
  });

  it('is small for the rounding of another order of sums, and they agree', () => {
    fc.assert(
      fc.property(values, fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 16 }), (floats, noise) => {
        const scale = Math.sqrt(floats.reduce((sum, value) => sum + value * value, 0) / floats.length);
        fc.pre(scale > 0.1);
        const reference = floats.map((value) => value + Math.sign(value || 1));
        const other = reference.map((value, i) => value * (1 + 1e-4 * noise[i % noise.length]!));
        expect(agrees(FLOAT32, bytesOf(reference), bytesOf(other))).toBe(true);
        expect(agrees(layoutOf('bfloat16'), halves(reference), halves(other))).toBe(true);
      }),
    );
  });

  it('is large where one element of one tensor is another, and they do not agree', () => {
    fc.assert(
      fc.property(values, fc.nat(FLOATS - 1), fc.boolean(), (floats, at, up) => {
        const reference = floats.map((value) => value + Math.sign(value || 1));
        const other = reference.slice();
        other[at] = reference[at]! + (up ? 30 : -30);
        expect(agrees(FLOAT32, bytesOf(reference), bytesOf(other))).toBe(false);
        expect(agrees(layoutOf('bfloat16'), halves(reference), halves(other))).toBe(false);
      }),
    );
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('is infinite where only one of them has %d', (odd) => {
    const reference = new Float32Array(FLOATS).fill(1);
    const other = reference.slice();
    other[7] = odd;
    expect(kvDistance(FLOAT32, bytesOf(reference), bytesOf(other)).rms).toBe(Number.POSITIVE_INFINITY);
    expect(kvDistance(FLOAT32, bytesOf(other), bytesOf(reference)).rms).toBe(Number.POSITIVE_INFINITY);
  });

  it('is infinite from a tensor of zeros to another', () => {
    const zeros = new Float32Array(FLOATS);
    const other = zeros.slice();
    other[0] = 1e-6;
    expect(agrees(FLOAT32, bytesOf(zeros), bytesOf(other))).toBe(false);
  });

  it('does not depend on where the bytes lie in memory', () => {
    const floats = Float32Array.from({ length: FLOATS }, (_, i) => i + 1);
    const shifted = new Uint8Array(blockBytes(FLOAT32) + 1).subarray(1);
    shifted.set(bytesOf(floats));
    expect(kvDistance(FLOAT32, shifted, bytesOf(floats))).toEqual({ rms: 0, largest: 0 });
  });
});
