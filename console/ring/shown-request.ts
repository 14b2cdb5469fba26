import { type RequestTrace, workerOf } from '../feed/request-trace.js';

/** Which request the card shows. Pure. */

/** How long a finished request stays before a newer one takes its place: long enough to read it. @internal exported for tests. */
export const READING_MS = 6_000;

/** The request that is shown, and since when. */
export interface ShownRequest {
  readonly id: number;
  /** The worker whose requests were shown then; null for all. */
  readonly worker: string | null;
  readonly sinceMs: number;
  /** The reader's own request that was shown last; null for none. */
  readonly asked: string | null;
}

interface Wanted {
  readonly worker: string | null;
  /** The request that the reader made last, by its client's name; null for none. */
  readonly asked: string | null;
  readonly held: boolean;
  readonly now: number;
}

/**
 * The request to show next. The reader's own request comes at once, others when the shown one is over and has been read; none while the reader
 * holds it.
 */
export function nextShown(
  shown: ShownRequest | null,
  traces: ReadonlyMap<number, RequestTrace>,
  { worker, asked, held, now }: Wanted,
): ShownRequest | null {
  const known = shown === null ? undefined : traces.get(shown.id);
  if (held && known !== undefined) return shown;
  const last = shown?.asked ?? null;
  if (asked !== null && asked !== last) {
    const own = [...traces.values()].findLast(({ request, attempts }) => request === asked && attempts.length > 0);
    if (own !== undefined) return { id: own.id, worker, sinceMs: now, asked };
  }
  const read = known?.ended != null && now - Math.max(known.ended.at, shown!.sinceMs) >= READING_MS;
  const isOther = shown?.worker !== worker;
  if (known !== undefined && !isOther && !read) return shown;
  const newest = newestOf(traces, worker);
  if (newest === undefined) return isOther || known === undefined ? null : shown;
  return newest.id === known?.id && !isOther ? shown : { id: newest.id, worker, sinceMs: now, asked: last };
}

/** The newest request of the worker, or of all workers; of those that are placed already. Undefined if there is none. */
function newestOf(traces: ReadonlyMap<number, RequestTrace>, worker: string | null): RequestTrace | undefined {
  return [...traces.values()].findLast(
    (trace) => trace.attempts.length > 0 && (worker === null || workerOf(trace) === worker),
  );
}
