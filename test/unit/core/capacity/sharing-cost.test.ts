import { describe, expect, it } from 'vitest';
import { planFleet } from '../../../../src/core/capacity/fleet-plan.js';
import { GIB, type Machinery, type Prices } from '../../../../src/core/capacity/prices.js';
import { sharingCost } from '../../../../src/core/capacity/sharing-cost.js';
import { type CountedRequest, workloadOf } from '../../../../src/core/capacity/workload.js';

const BLOCK = 512;
const machinery: Machinery = {
  workers: 4,
  cacheBytes: 40 * BLOCK * 1_000,
  kvBytesPerToken: 1_000,
  prefillTokensPerS: 10_000,
  decodeTokensPerS: 1_000,
  networkBytesPerS: 1e9,
};
const prices: Prices = { gpuHour: 2, gibMonth: 0, networkGib: 0 };

/** Requests, ten a second, each with one of `heads` heads of 10 blocks and a block of its own. */
function headed(heads: number, count: number): CountedRequest[] {
  return Array.from({ length: count }, (_, i) => {
    const head = (i * 7 + Math.floor(i / heads)) % heads;
    const ids = Array.from({ length: 10 }, (_, at) => 100 * head + at);
    return { atMs: 100 * i, outputTokens: 100, promptTokens: 11 * BLOCK, ids: [...ids, 1_000_000 + i] };
  });
}
const workload = (heads: number, count: number) => workloadOf(headed(heads, count), BLOCK, 1);
const costOf = (trace: readonly CountedRequest[], own: Partial<Machinery> = {}, price: Partial<Prices> = {}) =>
  sharingCost(workloadOf(trace, BLOCK, 1), { ...machinery, ...own }, { ...prices, ...price });

describe('what sharing saves', () => {
  it('is what the memory of all workers as one finds more than the memory of each', () => {
    const cost = costOf(headed(12, 480));
    expect(cost.hits.shared).toBeCloseTo((10 / 11) * (468 / 480), 3);
    expect(cost.hits.apart).toBeLessThan(cost.hits.shared / 2);
    expect(cost.verdict).toEqual({ pays: true });
    const perMonth = ((480 * 11 * BLOCK) / 47.9) * 730 * 3_600;
    expect(cost.promptTokensPerMonth).toBeCloseTo(perMonth, -4);
    expect(cost.savedGpuHours).toBeCloseTo((perMonth * (cost.hits.shared - cost.hits.apart)) / 10_000 / 3_600, 3);
    expect(cost.saved).toBeCloseTo(2 * cost.savedGpuHours, 6);
    expect(cost.net).toBe(cost.saved);
    expect(cost.breakEvenBytesPerS).toBe(1e7);
  });

  it('is less by what memory and traffic cost, and is nothing where they cost more', () => {
    const cost = costOf(headed(12, 480), {}, { gibMonth: 10, networkGib: 0.0001 });
    expect(cost.memory).toBeCloseTo((4 * machinery.cacheBytes * 10) / GIB);
    expect(cost.network).toBeCloseTo(((cost.savedTokensPerMonth * 1_000) / GIB) * 0.0001);
    expect(cost.net).toBeCloseTo(cost.saved - cost.memory - cost.network);
    expect(cost.breakEvenGain).toBeGreaterThan(0);
    const dear = costOf(headed(12, 480), {}, { gibMonth: 1e9 });
    expect(dear.breakEvenGain).toBeNull();
    expect(dear.verdict).toEqual({
      pays: false,
      because: ['memory and traffic cost more than the computation that they save'],
    });
  });

  it.each([
    ['there is one worker, so there is nothing to share', headed(12, 480), { workers: 1 }],
    [
      'the prompts have no prefixes in common',
      Array.from({ length: 100 }, (_, i) => ({ atMs: 1_000 * i, outputTokens: 1, promptTokens: BLOCK, ids: [i] })),
      {},
    ],
    ['the memory is too small: blocks are gone before they are asked for again', headed(12, 480), { cacheBytes: 0 }],
    [
      'each worker finds the same prefixes by itself, because few prompts have many repetitions',
      headed(1, 4_000),
      { cacheBytes: 1e9 },
    ],
    ['the network is slower than computing the blocks that it carries', headed(12, 480), { networkBytesPerS: 1e6 }],
  ])('is said to be nothing: %s', (reason, trace, own) => {
    expect(costOf(trace, own).verdict).toMatchObject({ pays: false, because: expect.arrayContaining([reason]) });
  });

  it('is no money where workers compute what the network would bring later', () => {
    const cost = costOf(headed(12, 480), { networkBytesPerS: 1e6 }, { networkGib: 1 });
    expect([cost.savedTokensPerMonth, cost.saved, cost.network, cost.net]).toEqual([0, 0, 0, 0]);
    expect(cost.hits.shared).toBeGreaterThan(cost.hits.apart);
  });
});

describe('the plan', () => {
  const limits = { mostWorkers: 64, mostCacheBytes: 4_096 * BLOCK * 1_000, busy: 0.7 };

  it('has the fewest workers that carry the busiest minute, with no more memory than gives hits', () => {
    const plan = planFleet(workload(12, 4_800), machinery, prices, limits)!;
    const without = planFleet(workload(12, 4_800), machinery, prices, { ...limits, mostCacheBytes: 0 })!;
    expect(plan.busy).toBeLessThanOrEqual(0.7);
    expect(plan.workers).toBeLessThan(without.workers);
    expect(plan.cacheBytes * plan.workers).toBeLessThan(4 * 132 * BLOCK * 1_000);
    expect(plan.hits).toBeGreaterThan(0.85);
    expect(without.hits).toBe(0);
    expect([plan.replicas, plan.why.length]).toEqual([2, 3]);
  });

  it('is none where the limits allow none', () => {
    expect(planFleet(workload(12, 4_800), machinery, prices, { ...limits, mostWorkers: 1 })).toBeNull();
  });

  it('takes less memory where memory is dear', () => {
    const cheap = planFleet(workload(400, 8_000), machinery, prices, limits)!;
    const dear = planFleet(workload(400, 8_000), machinery, { ...prices, gibMonth: 1e6 }, limits)!;
    expect(dear.cacheBytes).toBeLessThan(cheap.cacheBytes);
    expect(dear.workers).toBeGreaterThan(cheap.workers);
  });
});
