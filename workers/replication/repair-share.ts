import type { Clock } from '../../src/clock.js';

/** Limits repairs to a share of the transfer rate while requests run. */

/** Share of the measured transfer rate that repairs take while requests run. @internal exported for tests. */
export const REPAIR_SHARE = 0.25;

/**
 * Spaces repairs: after a transfer that took t, the next one begins t * (1 / share - 1) later, so that on average repairs transfer at most their share
 * of the rate that they measure. Without running requests they are not spaced.
 */
export class RepairShare {
  private openAtMs = 0;
  private requestsRun: () => boolean = () => false;

  constructor(private readonly clock: Clock) {}

  /** Sets the function that returns whether requests run. */
  watch(requestsRun: () => boolean): void {
    this.requestsRun = requestsRun;
  }

  /** Milliseconds until the next repair may begin. */
  get waitMs(): number {
    return this.requestsRun() ? Math.max(0, this.openAtMs - this.clock.now()) : 0;
  }

  /** Counts a repair that took this long. A repair without running requests delays none that comes after it. */
  note(tookMs: number): void {
    if (!this.requestsRun()) return;
    this.openAtMs = Math.max(this.openAtMs, this.clock.now()) + tookMs * (1 / REPAIR_SHARE - 1);
  }
}
