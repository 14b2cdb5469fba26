import type { RequestTrace } from '../feed/request-trace.js';

/** The phases of a request on a common scale. Pure. */

export type PhaseKind = 'waited' | 'fetched' | 'computed' | 'streamed';

export interface Phase {
  readonly kind: PhaseKind;
  /** Milliseconds since the arrival. */
  readonly from: number;
  readonly to: number;
}

/** The name of each phase. */
export const PHASE_NAMES: Readonly<Record<PhaseKind, string>> = {
  waited: 'waited to be placed',
  fetched: 'queued on the worker, found and fetched blocks',
  computed: 'computed the rest of the prompt',
  streamed: 'streamed the answer',
};

/** The phases so far; an open phase lasts until `now`. Empty if the page did not see the arrival. */
export function phasesOf(trace: RequestTrace, now: number): Phase[] {
  const { arrivedAt, placements, started, firstAt, ended } = trace;
  if (arrivedAt === null) return [];
  const end = ended?.at ?? now;
  const starts: readonly (readonly [PhaseKind, number | null])[] = [
    ['waited', arrivedAt],
    ['fetched', placements.at(0)?.at ?? null],
    ['computed', started?.at ?? null],
    ['streamed', firstAt],
  ];
  const known = starts.filter((entry): entry is readonly [PhaseKind, number] => entry[1] !== null);
  return known.map(([kind, at], index) => ({
    kind,
    from: at - arrivedAt,
    to: Math.max(at, known[index + 1]?.[1] ?? end) - arrivedAt,
  }));
}

/** Milliseconds from the arrival to the end, or to now; null if the page did not see the arrival. */
export function durationMs({ arrivedAt, ended }: RequestTrace, now: number): number | null {
  return arrivedAt === null ? null : (ended?.at ?? now) - arrivedAt;
}

export type RequestOrder = 'newest' | 'slowest' | 'first-token';

/** The requests to show, best first. Among the slow ones, an unfinished request counts with its time so far. */
export function shownRequests(
  traces: Iterable<RequestTrace>,
  { order, worker, limit, now }: { order: RequestOrder; worker: string | null; limit: number; now: number },
): RequestTrace[] {
  const chosen = [...traces].filter(
    ({ placements, started }) =>
      worker === null || started?.worker === worker || placements.some((placed) => placed.worker === worker),
  );
  const firstMs = ({ arrivedAt, firstAt }: RequestTrace) =>
    arrivedAt === null || firstAt === null ? -1 : firstAt - arrivedAt;
  const rank = (trace: RequestTrace) =>
    order === 'newest' ? trace.id : order === 'slowest' ? (durationMs(trace, now) ?? -1) : firstMs(trace);
  return chosen.toSorted((a, b) => rank(b) - rank(a)).slice(0, limit);
}
