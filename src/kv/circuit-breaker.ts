/**
 * Keeps calls from a service that does not answer: after several failures in a row, calls fail at once for a pause; then one call tries the
 * service (M. Nygard, "Release It!", 2007). Knows no clock: the caller gives the time, in milliseconds.
 */

export interface CircuitBreakerLimits {
  /** Failures in a row that open it. */
  readonly failures: number;
  readonly pauseMs: number;
}

type State =
  | { readonly type: 'closed'; readonly failures: number }
  | { readonly type: 'open'; readonly untilMs: number }
  /** One call is in progress; the others fail at once. */
  | { readonly type: 'trying' };

export class CircuitBreaker {
  private state: State = { type: 'closed', failures: 0 };

  constructor(private readonly limits: CircuitBreakerLimits) {}

  /** Whether calls go through at present. */
  get closed(): boolean {
    return this.state.type === 'closed';
  }

  /** Whether a call may be made now. After true, `succeeded` or `failed` must follow. */
  enter(nowMs: number): boolean {
    if (this.state.type === 'trying' || (this.state.type === 'open' && nowMs < this.state.untilMs)) return false;
    if (this.state.type === 'open') this.state = { type: 'trying' };
    return true;
  }

  succeeded(): void {
    this.state = { type: 'closed', failures: 0 };
  }

  failed(nowMs: number): void {
    const failures = this.state.type === 'closed' ? this.state.failures + 1 : this.limits.failures;
    this.state =
      failures < this.limits.failures
        ? { type: 'closed', failures }
        : { type: 'open', untilMs: nowMs + this.limits.pauseMs };
  }
}
