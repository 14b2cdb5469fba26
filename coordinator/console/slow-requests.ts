import type { RequestStep } from '../../src/console/feed-messages.js';

/** The slowest requests of the last hour with their steps, whether or not a page watched. */

/** Requests that are kept. @internal exported for tests. */
export const SLOW_REQUESTS = 64;
/** Steps of a request that are kept: a request that was lost often has more. */
const STEPS = 32;
const KEPT_MS = 3_600_000;

interface SlowRequest {
  readonly tenant: string | null;
  readonly steps: readonly RequestStep[];
  readonly endedMs: number;
  /** From the arrival to the first token, or to the end if there was none. */
  readonly firstMs: number;
}

export class SlowRequests {
  /** The slowest first. */
  private kept: SlowRequest[] = [];

  /** Keeps a request that has ended, if it is among the slowest. */
  offer(tenant: string | null, steps: readonly RequestStep[]): void {
    const arrived = steps[0];
    const ended = steps.at(-1);
    if (arrived === undefined || ended === undefined) return;
    const firstMs = (steps.find(({ step }) => step === 'first') ?? ended).at - arrived.at;
    this.forgetBefore(ended.at - KEPT_MS);
    const last = this.kept.at(-1);
    if (this.kept.length >= SLOW_REQUESTS && last !== undefined && firstMs <= last.firstMs) return;
    const at = this.kept.findIndex((other) => other.firstMs < firstMs);
    const request = { tenant, steps: bounded(steps), endedMs: ended.at, firstMs };
    this.kept.splice(at === -1 ? this.kept.length : at, 0, request);
    if (this.kept.length > SLOW_REQUESTS) this.kept.pop();
  }

  /** The steps of those requests that a reader may see, the slowest first. */
  list(nowMs: number, mayRead: (tenant: string | null) => boolean): (readonly RequestStep[])[] {
    this.forgetBefore(nowMs - KEPT_MS);
    return this.kept.filter(({ tenant }) => mayRead(tenant)).map(({ steps }) => steps);
  }

  private forgetBefore(ms: number): void {
    if (this.kept.some(({ endedMs }) => endedMs < ms)) this.kept = this.kept.filter(({ endedMs }) => endedMs >= ms);
  }
}

/** The first steps and the last one. */
function bounded(steps: readonly RequestStep[]): readonly RequestStep[] {
  return steps.length <= STEPS ? steps : [...steps.slice(0, STEPS - 1), ...steps.slice(-1)];
}
