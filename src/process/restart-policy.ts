import * as limits from '../limits.js';

export interface RestartLimits {
  /** Restarts within the window; one more is given up. */
  readonly restarts: number;
  readonly windowMs: number;
  /** Wait before the first restart of a window. It doubles with each further one, up to the ceiling. */
  readonly backoffMs: number;
  readonly ceilingMs: number;
}

export const RESTART_LIMITS: RestartLimits = {
  restarts: limits.RESTARTS,
  windowMs: limits.RESTART_WINDOW_MS,
  backoffMs: limits.RESTART_BACKOFF_MS,
  ceilingMs: limits.RESTART_BACKOFF_CEILING_MS,
};

/** When, and whether, something that ended is started again. Knows no clock: the time comes with each call. */
export class RestartPolicy {
  private endsMs: number[] = [];

  constructor(private readonly bounds: RestartLimits = RESTART_LIMITS) {}

  /** Milliseconds to wait from `nowMs`, at which it ended, until it is started again; null to give up. */
  next(nowMs: number): number | null {
    this.endsMs = this.endsMs.filter((endMs) => nowMs - endMs < this.bounds.windowMs);
    const earlier = this.endsMs.length;
    if (earlier >= this.bounds.restarts) return null;
    this.endsMs.push(nowMs);
    return Math.min(this.bounds.backoffMs * 2 ** earlier, this.bounds.ceilingMs);
  }
}
