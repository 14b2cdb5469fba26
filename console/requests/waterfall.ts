import { firstTokenMs, type RequestTrace, workerOfAttempt } from '../feed/request-trace.js';

/** The phases of a request on a common scale. Pure. */

export type PhaseKind = 'waited' | 'fetched' | 'computed' | 'streamed';

export interface Phase {
  readonly kind: PhaseKind;
  /** The worker that had the request; null before it was placed. */
  readonly worker: string | null;
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
  const { arrivedAt, attempts, ended } = trace;
  if (arrivedAt === null) return [];
  const end = ended?.at ?? now;
  const starts: readonly (readonly [PhaseKind, number | null, string | null])[] = [
    ['waited', arrivedAt, null],
    ...attempts.flatMap((attempt) => {
      const worker = workerOfAttempt(attempt);
      return [
        ['fetched', attempt.placed?.at ?? null, worker] as const,
        ['computed', attempt.started?.at ?? null, worker] as const,
        ['streamed', attempt.firstAt, worker] as const,
      ];
    }),
  ];
  const known = starts.filter((entry): entry is readonly [PhaseKind, number, string | null] => entry[1] !== null);
  return known.map(([kind, at, worker], index) => ({
    ...{ kind, worker, from: at - arrivedAt },
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
    ({ attempts }) => worker === null || attempts.some((attempt) => workerOfAttempt(attempt) === worker),
  );
  const rank = (trace: RequestTrace) =>
    order === 'newest' ? trace.id : order === 'slowest' ? (durationMs(trace, now) ?? -1) : (firstTokenMs(trace) ?? -1);
  return chosen.toSorted((a, b) => rank(b) - rank(a)).slice(0, limit);
}
