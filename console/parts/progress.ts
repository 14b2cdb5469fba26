import { type RequestTrace, workerOfAttempt } from '../feed/request-trace.js';

/**
 * What a request that has no token yet waits for. Pure.
 * @param trace undefined if the page has not heard of it
 */
export function progressText(trace: RequestTrace | undefined): string {
  if (trace === undefined) return 'Sent…';
  const last = trace.attempts.at(-1);
  const worker = last === undefined ? null : workerOfAttempt(last);
  if (last === undefined || worker === null) return 'Waiting for a worker to take it…';
  if (last.started === null) return `On ${worker}, waiting its turn or for blocks…`;
  return last.firstAt === null ? `${worker} computes the prompt…` : `${worker} streams the answer…`;
}
