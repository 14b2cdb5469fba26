/** How well a measurement distinguishes two kinds of things: the area under the ROC curve, and its confidence interval. */

/** A measurement of each kind, taken together. Both are resampled together. */
export interface Probe {
  /** Of the kind that should measure less. */
  readonly less: number;
  readonly more: number;
}

export interface RocArea {
  /** How often one of the first kind measures less than one of the second: 1 if always, 0.5 if the measurement shows nothing. Ties count half. */
  readonly area: number;
  /** Ends of the interval in which the area of 95 % of the resamples lies. */
  readonly low: number;
  readonly high: number;
}

const RESAMPLES = 1_000;
const OUTSIDE = 0.025;

/**
 * The area, and its interval by the percentile bootstrap (Efron, 1979) over the trials, at least one.
 * @param below a random whole number below its argument
 */
export function rocArea(trials: readonly Probe[], below: (limit: number) => number): RocArea {
  const areas = Array.from({ length: RESAMPLES }, () => areaOf(trials.map(() => trials[below(trials.length)]!)));
  areas.sort((a, b) => a - b);
  const outside = Math.floor(OUTSIDE * RESAMPLES);
  return { area: areaOf(trials), low: areas[outside]!, high: areas[RESAMPLES - 1 - outside]! };
}

function areaOf(trials: readonly Probe[]): number {
  let wins = 0;
  for (const { less } of trials) for (const { more } of trials) wins += less < more ? 1 : less === more ? 0.5 : 0;
  return wins / trials.length ** 2;
}
