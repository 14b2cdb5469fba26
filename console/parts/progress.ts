import type { FeedWorker } from '../../src/console/feed-messages.js';
import { type RequestTrace, workerOf } from '../feed/request-trace.js';

/**
 * What a request that has no token yet waits for. Pure.
 * @param trace undefined if the page has not heard of it
 */
export function progressText(trace: RequestTrace | undefined, workers: ReadonlyMap<string, FeedWorker>): string {
  if (workers.size > 0 && ![...workers.values()].some(({ state }) => state === 'serving'))
    return 'No worker serves now; the request waits for one…';
  if (trace === undefined) return 'Sent…';
  const worker = workerOf(trace);
  if (worker === null) return 'Waiting for a worker to take it…';
  const state = workers.get(worker)?.state;
  if (state === 'suspect' || state === 'dead') return `${worker} does not answer. Another worker will take it over…`;
  const last = trace.attempts.at(-1)!;
  if (last.started === null) return `On ${worker}, waiting its turn or for blocks…`;
  return last.firstAt === null ? `${worker} computes the prompt…` : `${worker} streams the answer…`;
}
