import { describe, expect, it } from 'vitest';
import { arrivalTimes } from '../../../../bench/serve/arrivals.js';
import { type PLACEMENTS, Placer } from '../../../../bench/serve/placements.js';
import { SCENARIOS, type Scenario, workload } from '../../../../bench/serve/workload.js';
import { SeededRandom } from '../../../../src/random.js';

const made = (scenario: Scenario, requests = 40, scalePercent = 100, seed = 7) =>
  workload({ scenario, requests, scalePercent, random: new SeededRandom(seed) });

function commonTokens(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((token, i) => token !== b[i]);
  return at === -1 ? a.length : at;
}

describe('the workloads', () => {
  it.each(SCENARIOS)('%s: as many requests as asked, the same for the same seed, others for another', (scenario) => {
    const requests = made(scenario);
    expect(requests).toHaveLength(40);
    expect(made(scenario)).toEqual(requests);
    expect(made(scenario, 40, 100, 8)).not.toEqual(requests);
    for (const { prompt, maxTokens } of requests) expect([prompt.length > 0, maxTokens > 0]).toEqual([true, true]);
  });

  it('scale their lengths', () => {
    expect(made('zero-hit', 1, 50)[0]).toMatchObject({ maxTokens: 32, prompt: { length: 256 } });
    expect(made('zero-hit', 1, 1)[0]!.maxTokens).toBe(1);
  });

  it('prefix-repetition repeats ten prefixes of 256 tokens', () => {
    const prompts = made('prefix-repetition').map(({ prompt }) => prompt);
    expect(new Set(prompts.map((prompt) => prompt.slice(0, 256).join())).size).toBe(10);
    expect(new Set(prompts.map((prompt) => prompt.join())).size).toBe(40);
  });

  it('zero-hit shares nothing', () => {
    expect(new Set(made('zero-hit').map(({ prompt }) => prompt[0])).size).toBeGreaterThan(30);
  });

  it('multi-round and agents continue what the session has said', () => {
    for (const scenario of ['multi-round', 'agents'] as const) {
      const last = new Map<number, readonly number[]>();
      for (const { prompt, session } of made(scenario)) {
        const before = last.get(session!);
        if (before) expect(commonTokens(before, prompt)).toBe(before.length);
        last.set(session!, prompt);
      }
      const [first, second] = [...last.values()];
      expect(commonTokens(first!, second!)).toBe(scenario === 'agents' ? 1_024 : 512);
    }
  });
});

describe('arrivals', () => {
  it('are evenly spaced if fixed, and have the rate on average if Poisson', () => {
    expect(arrivalTimes('fixed', 3, 4, new SeededRandom(1))).toEqual([0, 250, 500]);
    const times = arrivalTimes('poisson', 10_001, 4, new SeededRandom(1));
    expect(times.at(-1)! / 10_000).toBeGreaterThan(240);
    expect(times.at(-1)! / 10_000).toBeLessThan(260);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });
});

describe('placements', () => {
  const workers = ['a', 'b', 'c'];
  const placer = (placement: (typeof PLACEMENTS)[number]) => new Placer(placement, workers, new SeededRandom(3));

  it('leave the choice to the coordinator, take turns, or draw', () => {
    expect(placer('cost').begin([1])).toBeNull();
    const turns = placer('round-robin');
    expect([1, 2, 3, 4].map((token) => turns.begin([token]))).toEqual(['a', 'b', 'c', 'a']);
    const drawn = placer('random');
    expect(new Set(Array.from({ length: 50 }, () => drawn.begin([1]))).size).toBe(3);
  });

  it('prefix-hash keeps a prefix on one worker until that has too much', () => {
    const hashed = placer('prefix-hash');
    const first = hashed.begin([1, 2]);
    hashed.ended(first);
    expect(hashed.begin([1, 2])).toBe(first);
    const spread = Array.from({ length: 30 }, () => hashed.begin([1, 2]));
    expect(new Set(spread).size).toBe(3);
    for (const worker of workers) expect(spread.filter((one) => one === worker).length).toBeLessThanOrEqual(14);
  });
});
