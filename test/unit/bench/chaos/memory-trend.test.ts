import { describe, expect, it } from 'vitest';
import { memoryTrend } from '../../../../bench/chaos/memory-trend.js';
import { SeededRandom } from '../../../../src/random.js';

const PERIOD_MS = 60_000;

describe('the trend of memory', () => {
  /** Samples of 30 periods: 1,000 MiB with noise, less for a while in each period, and more by `perPeriod` in each. */
  function samples(perPeriod: number) {
    const random = new SeededRandom(1);
    return Array.from({ length: 900 }, (_, i) => {
      const atMs = i * 2_000;
      const restarting = atMs % PERIOD_MS < 6_000 ? -200 : 0;
      return { atMs, mib: 1_000 + restarting + 10 * random.next() + (perPeriod * atMs) / PERIOD_MS };
    });
  }

  it('is none where memory only varies', () => {
    const { medianMib, growthMib, noiseMib } = memoryTrend(samples(0), PERIOD_MS)!;
    expect(medianMib).toBeCloseTo(1_005, -1);
    expect(Math.abs(growthMib)).toBeLessThan(3);
    expect(noiseMib).toBeLessThan(3);
  });

  it('is what memory grows by, whatever single periods do', () => {
    const leaking = samples(5).map((sample) =>
      Math.floor(sample.atMs / PERIOD_MS) === 7 ? { ...sample, mib: 3_000 } : sample,
    );
    const { growthMib, noiseMib } = memoryTrend(leaking, PERIOD_MS)!;
    expect(growthMib).toBeGreaterThan(140);
    expect(growthMib).toBeLessThan(150);
    expect(noiseMib).toBeLessThan(3);
  });

  it('is unknown from less than three periods', () => {
    expect(memoryTrend(samples(0).slice(0, 60), PERIOD_MS)).toBeNull();
  });
});
