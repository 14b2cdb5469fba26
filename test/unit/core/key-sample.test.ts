import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countSampled, joinedSamples, SAMPLED_KEYS, sampleOf } from '../../../src/core/key-sample.js';

const keyOf = (n: number) => createHash('sha256').update(`${n}`).digest('hex');
const keysOf = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => keyOf(from + i));

describe('a sample of keys', () => {
  it('counts each key once, in whatever parts and however often it comes', () => {
    const part = fc.array(fc.nat(40), { maxLength: 30 });
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
        const joined = joinedSamples(parts.map((numbers) => sampleOf(numbers.map(keyOf))));
        expect(countSampled(joined)).toEqual({ keys: new Set(parts.flat()).size, exact: true });
        expect(joined).toEqual(sampleOf(parts.flat().map(keyOf)));
      }),
    );
  });

  it('estimates what is too much for it, and says so', () => {
    const half = sampleOf(keysOf(0, 30_000));
    const other = sampleOf(keysOf(20_000, 50_000));
    const { keys, exact } = countSampled(joinedSamples([half, other]));
    expect(exact).toBe(false);
    expect(Math.abs(keys / 50_000 - 1)).toBeLessThan(0.03);
    expect(countSampled(sampleOf(keysOf(0, SAMPLED_KEYS - 1)))).toEqual({ keys: SAMPLED_KEYS - 1, exact: true });
  });
});
