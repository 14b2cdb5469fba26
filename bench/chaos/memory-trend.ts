/** Whether the memory of a process grows over a run. Pure. */

/** Resident memory at a time of the run. */
export interface MemorySample {
  readonly atMs: number;
  readonly mib: number;
}

export interface MemoryTrend {
  readonly medianMib: number;
  /** Growth from the first to the last period, along the trend. Negative if memory shrinks. */
  readonly growthMib: number;
  /** By how much the growth may be wrong: with 95 % confidence, no growth is above this where memory only varies. */
  readonly noiseMib: number;
}

/** The quantile of a period's samples that represents it: uncollected garbage is not needed memory. */
const LOW = 0.1;
/** Standard deviations on either side of the middle that hold 95 % of a normal distribution. */
const SIGMAS = 1.96;
/** With fewer periods the order of their slopes has no confidence of 95 %. */
const FEWEST_PERIODS = 5;

/**
 * The trend of the low samples of all periods: the median of the slopes between any two of them (H. Theil, 1950), which single outliers do not
 * change, with the confidence interval of the slope that follows from Kendall's tau (P. K. Sen, 1968). Null from too few periods.
 */
export function memoryTrend(samples: readonly MemorySample[], periodMs: number): MemoryTrend | null {
  const periods = new Map<number, number[]>();
  for (const { atMs, mib } of samples) {
    const period = Math.floor(atMs / periodMs);
    periods.set(period, [...(periods.get(period) ?? []), mib]);
  }
  const points = [...periods].map(([period, mibs]) => ({ period, mib: at(ordered(mibs), LOW) }));
  if (points.length < FEWEST_PERIODS) return null;
  const slopes = ordered(
    points.flatMap((a, i) => points.slice(i + 1).map((b) => (b.mib - a.mib) / (b.period - a.period))),
  );
  const n = points.length;
  const width = SIGMAS * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  const slope = at(slopes, 0.5);
  const lowest = slopes[Math.max(0, Math.floor((slopes.length - width) / 2))]!;
  const span = points.at(-1)!.period - points[0]!.period;
  return {
    medianMib: at(ordered(points.map(({ mib }) => mib)), 0.5),
    growthMib: slope * span,
    noiseMib: (slope - lowest) * span,
  };
}

function ordered(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b);
}

/** The value below which this share of the values is, between two of them if necessary. */
function at(sorted: readonly number[], share: number): number {
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)]!;
  return below + (sorted[Math.ceil(place)]! - below) * (place % 1);
}
