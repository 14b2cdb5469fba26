/** Whether memory grows over a run that disturbs it again and again. Pure. */

/** Resident memory at a time of the run. */
export interface MemorySample {
  readonly atMs: number;
  readonly mib: number;
}

export interface MemoryTrend {
  readonly medianMib: number;
  /** Growth from the first to the last period, along the trend. Negative if memory shrinks. */
  readonly growthMib: number;
  /** Standard deviation of the periods around the trend, estimated from their median absolute deviation. */
  readonly noiseMib: number;
}

/** Ratio of the standard deviation of a normal distribution to its median absolute deviation. */
const SIGMAS_PER_DEVIATION = 1.4826;

/**
 * The trend of the medians of all periods, as the median of the slopes between any two of them (H. Theil, 1950; P. K. Sen, 1968), which single
 * outliers do not change. Null if the samples are in fewer than three periods.
 */
export function memoryTrend(samples: readonly MemorySample[], periodMs: number): MemoryTrend | null {
  const periods = new Map<number, number[]>();
  for (const { atMs, mib } of samples) {
    const period = Math.floor(atMs / periodMs);
    periods.set(period, [...(periods.get(period) ?? []), mib]);
  }
  const points = [...periods].map(([period, mibs]) => ({ period, mib: median(mibs) }));
  if (points.length < 3) return null;
  const slopes = points.flatMap((a, i) => points.slice(i + 1).map((b) => (b.mib - a.mib) / (b.period - a.period)));
  const slope = median(slopes);
  const level = median(points.map(({ period, mib }) => mib - slope * period));
  const deviations = points.map(({ period, mib }) => Math.abs(mib - slope * period - level));
  const span = points.at(-1)!.period - points[0]!.period;
  return {
    medianMib: median(points.map(({ mib }) => mib)),
    growthMib: slope * span,
    noiseMib: SIGMAS_PER_DEVIATION * median(deviations),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
