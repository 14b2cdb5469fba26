import { DeadlineExceeded } from '../../../src/errors.js';

/**
 * Runs with a signal that aborts when the given one does, and with DeadlineExceeded after `timeMs`. The timer keeps the signal alive: Node 20
 * may collect an `AbortSignal.timeout` that only `AbortSignal.any` refers to, which then never aborts.
 */
export async function withDeadline<T>(
  timeMs: number,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(new DeadlineExceeded(`no answer within ${timeMs} ms`)), timeMs);
  const abort = () => limit.abort(signal.reason);
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  try {
    return await run(limit.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}
