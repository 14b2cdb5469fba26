import fc from 'fast-check';
import { expect, test } from 'vitest';
import { uniformAt } from '../../../../src/core/sampling/philox.js';
import { SamplingScratch } from '../../../../src/core/sampling/scratch.js';
import { argmax, choose, type SelectionSettings } from '../../../../src/core/sampling/selection.js';
import { InternalError } from '../../../../src/errors.js';

const PLAIN: SelectionSettings = { temperature: 1, topK: 0, topP: 1, minP: 0 };

/** Reference: the set of tokens that may be drawn, by a full sort. */
function naiveSet(logits: Float32Array, { temperature, topK, topP, minP }: SelectionSettings): Set<number> {
  const highest = Math.max(...logits);
  const weight = (id: number) => Math.exp((logits[id]! - highest) / temperature);
  let ids = Array.from(logits.keys()).filter((id) => weight(id) > 0 && weight(id) >= minP);
  ids.sort((a, b) => logits[b]! - logits[a]! || a - b);
  if (topK > 0) ids = ids.slice(0, topK);
  const total = ids.reduce((sum, id) => sum + weight(id), 0);
  const kept: number[] = [];
  for (let sum = 0; kept.length < ids.length && (kept.length === 0 || sum < topP * total - 1e-12); ) {
    const id = ids[kept.length]!;
    kept.push(id);
    sum += weight(id);
  }
  return new Set(topP === 1 ? ids : kept);
}

/** All tokens that a grid of draws selects: every token at least as likely as the grid's step. */
function drawnSet(logits: Float32Array, settings: SelectionSettings, draws: number): Set<number> {
  const scratch = new SamplingScratch(logits.length);
  const drawn = new Set<number>();
  for (let i = 0; i < draws; i++) drawn.add(choose(logits, settings, i / draws, scratch));
  return drawn;
}

/** The tokens of a set that are more likely than `least` within it. */
function likely(logits: Float32Array, set: Set<number>, temperature: number, least: number): number[] {
  const highest = Math.max(...logits);
  const weight = (id: number) => Math.exp((logits[id]! - highest) / temperature);
  const total = [...set].reduce((sum, id) => sum + weight(id), 0);
  return [...set].filter((id) => weight(id) / total > least);
}

// Multiples of an odd fraction give equal logits, but no sums that hit top-p exactly.
const logitsOf = fc
  .array(fc.integer({ min: -9, max: 9 }), { minLength: 1, maxLength: 40 })
  .map((steps) => Float32Array.from(steps, (n) => n * 0.3137));

test('argmax returns the lowest id of equal logits', () => {
  expect(argmax(Float32Array.of(1, 3, 3, 2))).toBe(1);
});

test('invalid logits are an error at any position', () => {
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
    for (let at = 0; at < 3; at++) {
      const logits = Float32Array.of(1, 2, 3);
      logits[at] = bad;
      expect(() => argmax(logits)).toThrow(InternalError);
      expect(() => choose(logits, PLAIN, 0.5, new SamplingScratch(3))).toThrow(InternalError);
    }
  }
  expect(() => argmax(new Float32Array(4).fill(Number.NEGATIVE_INFINITY))).toThrow(InternalError);
});

test('temperature 0 chooses the most likely token for any draw', () => {
  fc.assert(
    fc.property(logitsOf, fc.double({ min: 0, max: 0.999, noNaN: true }), (logits, draw) => {
      const settings = { ...PLAIN, temperature: 0 };
      expect(choose(logits, settings, draw, new SamplingScratch(logits.length))).toBe(argmax(logits));
    }),
  );
});

test('top-k, top-p and min-p keep the same tokens as a full sort', () => {
  fc.assert(
    fc.property(
      logitsOf,
      fc.constantFrom(0, 1, 2, 5, 100),
      fc.constantFrom(1, 0.97, 0.73, 0.31, 0.001),
      fc.constantFrom(0, 0.0537, 0.313, 1),
      fc.constantFrom(0.37, 1, 1.9),
      (logits, topK, topP, minP, temperature) => {
        const settings = { temperature, topK, topP, minP };
        const allowed = naiveSet(logits, settings);
        const drawn = drawnSet(logits, settings, 500);
        expect([...drawn].filter((id) => !allowed.has(id))).toEqual([]);
        expect(likely(logits, allowed, temperature, 1 / 490).filter((id) => !drawn.has(id))).toEqual([]);
      },
    ),
    { numRuns: 300 },
  );
});

test('the same tokens as a full sort are kept of large vocabularies, peaked or flat', () => {
  for (const spread of [0.01, 1, 8]) {
    const logits = Float32Array.from({ length: 1500 }, (_, id) => (uniformAt(3, id) - 0.5) * 2 * spread);
    for (const settings of [
      { ...PLAIN, topP: 0.9 },
      { ...PLAIN, topK: 50 },
      { ...PLAIN, topK: 700, topP: 0.5 },
      { ...PLAIN, minP: 0.2, topP: 0.8 },
      { ...PLAIN, topK: 40, temperature: 0.01 },
    ]) {
      const allowed = naiveSet(logits, settings);
      const drawn = drawnSet(logits, settings, 1000);
      expect([...drawn].filter((id) => !allowed.has(id))).toEqual([]);
      const missed = likely(logits, allowed, settings.temperature, 1 / 990).filter((id) => !drawn.has(id));
      expect(missed).toEqual([]);
    }
  }
});

test('tokens are drawn in proportion to their probabilities (chi-square)', () => {
  const logits = Float32Array.of(0, 1, 2, -1, 0.5, 3);
  const temperature = 0.8;
  const weights = Array.from(logits, (logit) => Math.exp(logit / temperature));
  const total = weights.reduce((a, b) => a + b);
  const draws = 30_000;
  const counts = new Float64Array(logits.length);
  const scratch = new SamplingScratch(logits.length);
  for (let position = 0; position < draws; position++) {
    counts[choose(logits, { ...PLAIN, temperature }, uniformAt(11, position), scratch)]! += 1;
  }
  const chiSquare = counts.reduce((sum, n, id) => {
    const expected = (draws * weights[id]!) / total;
    return sum + (n - expected) ** 2 / expected;
  }, 0);
  // 5 degrees of freedom: 0.0001 quantile.
  expect(chiSquare).toBeLessThan(25.7);
});

test('the largest draw below 1 selects an allowed token', () => {
  const logits = Float32Array.of(0, 0, 0, Number.NEGATIVE_INFINITY);
  expect(choose(logits, PLAIN, 1 - 2 ** -53, new SamplingScratch(4))).toBe(2);
});
