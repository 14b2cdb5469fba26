import type { CallOptions } from '../../actors/outgoing-call.js';
import { abortReason } from '../../async/abort.js';
import type { Clock } from '../../clock.js';
import { DeadlineExceeded } from '../../errors.js';

/** A signal that aborts with the caller's, and when the caller's time is over. */
export class TimeLimit {
  private readonly abort = new AbortController();
  private readonly release: () => void;

  /** @param what names what is late, for the error */
  constructor(clock: Clock, what: string, { signal, timeoutMs }: Pick<CallOptions, 'signal' | 'timeoutMs'>) {
    const onAbort = () => this.abort.abort(signal && abortReason(signal));
    const late = new DeadlineExceeded(`${what} within ${Math.round(timeoutMs ?? 0)} ms`);
    const isLimited = timeoutMs !== undefined && timeoutMs < Number.POSITIVE_INFINITY;
    const timer = isLimited && timeoutMs > 0 ? clock.after(timeoutMs, () => this.abort.abort(late)) : null;
    if (timeoutMs === 0) this.abort.abort(late);
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    this.release = () => {
      timer?.cancel();
      signal?.removeEventListener('abort', onAbort);
    };
  }

  get signal(): AbortSignal {
    return this.abort.signal;
  }

  end(): void {
    this.release();
  }
}
