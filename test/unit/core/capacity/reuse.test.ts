import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReuseDistances } from '../../../../src/core/capacity/reuse.js';

/** Hits of an LRU cache, by simulation. */
function lruHits(ids: readonly number[], blocks: number): number {
  const cache = new Set<number>();
  let hits = 0;
  for (const id of ids) {
    if (cache.delete(id)) hits++;
    cache.add(id);
    if (cache.size > blocks) cache.delete(cache.values().next().value!);
  }
  return hits;
}

function curveOf(ids: readonly number[], rate: number) {
  const reuse = new ReuseDistances(rate, ids.length);
  for (const id of ids) reuse.add(id);
  return reuse.curve();
}

/** References with popularities that fall as in Zipf's law, from a small generator (Park and Miller, 1988). */
function skewedStream(length: number, blocks: number): number[] {
  const weights = Array.from({ length: blocks }, (_, i) => 1 / (i + 1) ** 0.8);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const sums: number[] = [];
  let sum = 0;
  for (const weight of weights) {
    sum += weight / total;
    sums.push(sum);
  }
  let state = 12345;
  return Array.from({ length }, () => {
    state = (state * 48_271) % 2_147_483_647;
    const at = state / 2_147_483_647;
    return sums.findIndex((bound) => at < bound);
  });
}

describe('the miss-ratio curve', () => {
  it('of all references is that of an LRU cache, at every size', () => {
    const streams = fc.array(fc.nat({ max: 12 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(streams, fc.integer({ min: 1, max: 14 }), (ids, blocks) => {
        expect(curveOf(ids, 1).hitRatio(blocks)).toBeCloseTo(lruHits(ids, blocks) / ids.length, 10);
      }),
    );
  });

  it('of a sample is close to that of all references', () => {
    const ids = skewedStream(60_000, 5_000);
    const [exact, sampled] = [curveOf(ids, 1), curveOf(ids, 0.1)];
    for (const blocks of [200, 500, 1_000, 2_000, 4_000]) {
      expect(Math.abs(exact.hitRatio(blocks) - sampled.hitRatio(blocks))).toBeLessThan(0.05);
    }
    expect(Math.abs(sampled.distinct / exact.distinct - 1)).toBeLessThan(0.1);
  });

  it('of a sample says how far it may be off, which is far where a few blocks have most of the references', () => {
    const even = Array.from({ length: 40_000 }, (_, i) => i % 4_000);
    const uneven = even.map((id, i) => (i % 2 === 0 ? id : i % 3));
    expect(curveOf(even, 1).error).toBe(0);
    expect(curveOf(even, 0.5).error).toBeLessThan(0.05);
    expect(curveOf(uneven, 0.1).error).toBeGreaterThan(0.2);
  });

  it('counts references by their weights', () => {
    const reuse = new ReuseDistances(1, 4);
    for (const [id, weight] of [
      [1, 512],
      [2, 88],
      [1, 512],
      [3, 88],
    ] as const)
      reuse.add(id, weight);
    expect(reuse.curve().hitRatio(4)).toBeCloseTo(512 / 1_200);
  });

  it('never falls, and ends at what a cache without a limit has', () => {
    const curve = curveOf([1, 2, 3, 1, 2, 3, 4, 4], 1);
    expect([0, 1, 2, 3, 100].map((blocks) => curve.hitRatio(blocks) * 8)).toEqual([0, 1, 1, 4, 4]);
    expect([curve.most, curve.distinct, curve.weight]).toEqual([0.5, 4, 8]);
  });

  it('keeps no block without those before it if a prompt is added from its end', () => {
    const prompts = [
      [1, 2, 3],
      [1, 2, 4],
    ];
    const reuse = new ReuseDistances(1, 6);
    for (const ids of prompts) for (const id of ids.toReversed()) reuse.add(id);
    expect(reuse.curve().hitRatio(2)).toBe(0);
    expect(reuse.curve().hitRatio(4)).toBeCloseTo(2 / 6);
  });

  it('refuses more references than there is room for, and rates that are none', () => {
    expect(() => curveOf([], 0)).toThrow('the rate of a sample is 0');
    const reuse = new ReuseDistances(1, 1);
    reuse.add(1);
    expect(() => reuse.add(2)).toThrow('a stream has more than 1 references');
  });
});
