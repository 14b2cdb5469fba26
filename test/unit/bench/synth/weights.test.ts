import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { constant, normal, rotary } from '../../../../bench/synth/weights.js';
import { float16Bits } from '../../../../src/model/float16.js';

const draw = { seed: 1, name: 'layers.0.q.weight', deviation: 0.02, type: 'float32' } as const;

/** The value of IEEE 754 binary16 bits. */
function float16Value(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size =
    exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? Infinity : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -size : size;
}

describe('random weights', () => {
  it('have mean 0 and the given deviation, and neighbours are uncorrelated', () => {
    const values = new Float32Array(1_000_000);
    normal(draw)(values, 0);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(1e-4);
    expect(Math.sqrt(variance)).toBeCloseTo(0.02, 4);
    for (const distance of [1, 2, 64, 768]) {
      let product = 0;
      for (let i = distance; i < values.length; i++) product += values[i]! * values[i - distance]!;
      expect(Math.abs(product / values.length / variance)).toBeLessThan(0.005);
    }
  });

  it('do not depend on the range in which they are generated', () => {
    const whole = new Float32Array(1000);
    const fill = normal(draw, { index: 6, columns: 7 });
    fill(whole, 0);
    fc.assert(
      fc.property(fc.nat(999), fc.nat(999), (a, b) => {
        const [first, last] = [Math.min(a, b), Math.max(a, b)];
        const part = new Float32Array(last - first);
        fill(part, first);
        expect(part).toEqual(whole.subarray(first, last));
      }),
    );
    expect(whole.every((value, i) => i % 7 !== 6 || value === 0)).toBe(true);
  });

  it('differ by name and by seed', () => {
    const runs = [draw, { ...draw, name: 'other' }, { ...draw, seed: 2 }].map((one) => {
      const values = new Float32Array(64);
      normal(one)(values, 0);
      return values.join();
    });
    expect(new Set(runs).size).toBe(3);
  });

  it('can be float16', () => {
    const [single, half] = [new Float32Array(100), new Uint16Array(100)];
    normal(draw)(single, 0);
    normal({ ...draw, type: 'float16' })(half, 0);
    half.forEach((bits, i) => {
      expect(float16Value(bits)).toBeCloseTo(single[i]!, 4);
    });
    constant(1, 'float16')(half, 0);
    expect(float16Value(half[7]!)).toBe(1);
  });
});

describe('rotary caches', () => {
  it('hold the cosine of position times frequency', () => {
    const values = new Float32Array(8);
    rotary(Math.cos, 8, 10_000, 'float32')(values, 4 * 3);
    expect(values[0]).toBeCloseTo(Math.cos(3), 6);
    expect(values[1]).toBeCloseTo(Math.cos(3 / 10), 6);
    expect(values[4]).toBeCloseTo(Math.cos(4), 6);
  });
});

describe('float16', () => {
  it('preserves each of its own values', () => {
    for (let bits = 0; bits < 0x7c00; bits++) {
      if (float16Bits(float16Value(bits)) !== bits) expect.unreachable(`bits ${bits}`);
      if (float16Bits(-float16Value(bits)) !== (bits | 0x8000)) expect.unreachable(`bits ${bits}, negative`);
    }
  });

  it('rounds to the nearest, ties to even, and to infinity beyond its range', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: -70_000, max: 70_000 }), (value) => {
        const bits = float16Bits(value);
        const distance = Math.abs(float16Value(bits) - value);
        for (const neighbour of [bits - 1, bits + 1]) {
          if ((neighbour & 0x7fff) >= 0x7c00) continue;
          const further = Math.abs(float16Value(neighbour & 0xffff) - value);
          if (further < distance || (further === distance && bits & 1))
            expect(Math.abs(value)).toBeGreaterThanOrEqual(65_520);
        }
      }),
    );
    expect(float16Bits(65_519)).toBe(0x7bff);
    expect(float16Bits(65_520)).toBe(0x7c00);
    expect(float16Bits(-1e9)).toBe(0xfc00);
    expect(float16Bits(1 + 2 ** -11)).toBe(float16Bits(1));
    expect(float16Bits(Number.NaN) & 0x7fff).toBeGreaterThan(0x7c00);
  });
});
