import type { HistoryAnswer, HistorySeries } from '../../src/console/feed-messages.js';

/** The history that a page has, and series made of it. Pure. */

/** As many events as the coordinator keeps. */
const HAPPENINGS = 256;

export type SeriesValues = readonly (number | null)[];

/** An answer, and a later one that has what came since. Keeps as many values as an hour has. */
export function joined(before: HistoryAnswer | null, later: HistoryAnswer, limit: number): HistoryAnswer {
  const last = before?.at.at(-1);
  // A restarted coordinator has a new history.
  if (before === null || last === undefined || (later.at[0] !== undefined && later.at[0] <= last)) return later;
  const series = Object.fromEntries(
    Object.entries(later.series).map(([name, values]) => [
      name,
      [...before.series[name as HistorySeries], ...values].slice(-limit),
    ]),
  ) as unknown as HistoryAnswer['series'];
  // The later answer has the events since the last step that the page knows.
  const happened = [...before.happened.filter(({ at }) => at <= last), ...later.happened].slice(-HAPPENINGS);
  return { ...later, at: [...before.at, ...later.at].slice(-limit), series, happened };
}

/** Share of prompt tokens that were not computed, 0 to 100; null where there were none. */
export function hitShares({ local, remote, computed }: HistoryAnswer['series']): SeriesValues {
  return local.map((value, index) => {
    const hits = (value ?? 0) + (remote[index] ?? 0);
    const all = hits + (computed[index] ?? 0);
    return all === 0 ? null : (100 * hits) / all;
  });
}

/** Each series on top of those before it. */
export function stacked(series: readonly SeriesValues[]): SeriesValues[] {
  const sums: number[] = [];
  return series.map((values) =>
    values.map((value, index) => {
      sums[index] = (sums[index] ?? 0) + (value ?? 0);
      return sums[index];
    }),
  );
}

/**
 * The line of one layer of a stack: `sums` with the layers below, without what lies where the layer has nothing. A layer that comes and goes keeps its
 * feet: the value before and the one after.
 */
export function layerLine(sums: SeriesValues, own: SeriesValues): SeriesValues {
  const has = (index: number) => (own[index] ?? 0) > 0;
  return sums.map((sum, index) => (has(index - 1) || has(index) || has(index + 1) ? sum : null));
}

/** Rare events, counted a minute instead of a second. */
export function perMinute(values: SeriesValues): SeriesValues {
  return values.map((value) => (value === null ? null : 60 * value));
}
