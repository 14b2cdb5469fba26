import { describe, expect, it } from 'vitest';
import { memoryTrend } from '../../../../bench/chaos/memory-trend.js';
import { SeededRandom } from '../../../../src/random.js';

const PERIOD_MS = 60_000;

describe('the trend of memory', () => {
  /** A sample a second in 15 periods: 180 MiB, up to 40 MiB of garbage, and more by `perPeriod` in each period. */
  function samples(perPeriod: number) {
    const random = new SeededRandom(1);
    return Array.from({ length: 900 }, (_, i) => {
      const atMs = i * 1_000;
      return { atMs, mib: 180 + 40 * random.next() + (perPeriod * atMs) / PERIOD_MS };
    });
  }

  it('is none where memory only varies', () => {
    const { medianMib, growthMib, noiseMib } = memoryTrend(samples(0), PERIOD_MS)!;
    expect(medianMib).toBeCloseTo(184, -1);
    expect(Math.abs(growthMib)).toBeLessThan(noiseMib);
    expect(noiseMib).toBeLessThan(5);
  });

  it('is what memory grows by, whatever single periods do', () => {
    const leaking = samples(5).map((sample) =>
      Math.floor(sample.atMs / PERIOD_MS) === 7 ? { ...sample, mib: 3_000 } : sample,
    );
    const { growthMib, noiseMib } = memoryTrend(leaking, PERIOD_MS)!;
    expect(growthMib).toBeGreaterThan(65);
    expect(growthMib).toBeLessThan(75);
    expect(noiseMib).toBeLessThan(10);
  });

  it('is the same where a period lacks samples', () => {
    const whole = memoryTrend(samples(2), PERIOD_MS)!;
    const gap = memoryTrend(
      samples(2).filter(({ atMs }) => Math.floor(atMs / PERIOD_MS) !== 4),
      PERIOD_MS,
    )!;
    expect(Math.abs(gap.growthMib - whole.growthMib)).toBeLessThan(3);
  });

  it('is unknown from less than five periods', () => {
    expect(memoryTrend(samples(0).slice(0, 240), PERIOD_MS)).toBeNull();
  });
});
