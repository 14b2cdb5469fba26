import { type RequestAttempt, type RequestTrace, workerOf } from '../feed/request-trace.js';
import { fetchedFrom } from '../parts/words.js';

/** How a request travels over the ring: legs with a beginning and an end, so that every moment can be drawn, live or replayed. Pure. */

export type LegKind =
  /** From the coordinator to the worker that was chosen. */
  | 'placed'
  /** In the worker's queue, or while it looks up the prefix. */
  | 'waiting'
  /** Blocks of the worker's own memory. */
  | 'local'
  /** Blocks in transit from another worker. */
  | 'remote'
  | 'computed'
  /** Tokens of the answer in transit to the client. */
  | 'streamed'
  | 'failed';

export interface Leg {
  readonly kind: LegKind;
  readonly worker: string;
  /** The worker that sends blocks, so far as it is known; null for other legs. */
  readonly from: string | null;
  readonly start: number;
  readonly end: number;
}

/** The least time for which each leg is drawn, so that events within milliseconds are visible, one after another. @internal exported for tests. */
export const LEAST_MS: Readonly<Record<LegKind, number>> = {
  placed: 380,
  waiting: 0,
  local: 420,
  remote: 620,
  computed: 420,
  streamed: 500,
  failed: 700,
};

/** Time for which a request that is over may still be drawn. */
const LONGEST_MS = Object.values(LEAST_MS).reduce((sum, ms) => sum + ms, 0);

/**
 * The legs of a request so far. A leg that is not over ends at infinity.
 * @param now the legs of a request that has not ended last until then at least
 */
export function legsOf(trace: RequestTrace): Leg[] {
  const legs: Leg[] = [];
  let free = 0;
  const add = (kind: LegKind, worker: string, start: number, end: number, from: string | null = null) => {
    const begins = Math.max(start, free);
    const ends = Math.max(end, begins + LEAST_MS[kind]);
    legs.push({ kind, worker, from, start: begins, end: ends });
    free = ends;
  };
  const { attempts, ended } = trace;
  for (const [index, attempt] of attempts.entries()) {
    const over = attempts[index + 1]?.placed?.at ?? ended?.at ?? Number.POSITIVE_INFINITY;
    addAttempt(attempt, over, add, () => free);
  }
  if (ended?.outcome === 'failed') add('failed', workerOf(trace) ?? '', ended.at, ended.at);
  return legs;
}

type AddLeg = (kind: LegKind, worker: string, start: number, end: number, from?: string | null) => void;

/** Adds the legs of one worker. @param over when another worker took over, or the request ended */
function addAttempt(attempt: RequestAttempt, over: number, add: AddLeg, free: () => number): void {
  const { placed, started, firstAt } = attempt;
  if (placed !== null) {
    add('placed', placed.worker, placed.at, placed.at);
    const until = started?.at ?? over;
    if (until > free()) add('waiting', placed.worker, free(), until);
  }
  if (started === null) return;
  const { worker, cached, at } = started;
  if (cached.local > 0) add('local', worker, at, at);
  if (cached.remote > 0) add('remote', worker, at, at, fetchedFrom(attempt));
  if (cached.computed > 0) add('computed', worker, at, firstAt ?? over);
  if (firstAt !== null) add('streamed', worker, firstAt, over);
}

/** Whether any leg of the request can be seen at some time of a span. Cheap: most requests are long over. */
export function mayShow({ at, arrivedAt, ended }: RequestTrace, from: number, until = from): boolean {
  return (arrivedAt ?? 0) <= until && (ended === null || at + LONGEST_MS >= from);
}
