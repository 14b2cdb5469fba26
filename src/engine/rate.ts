/** Milliseconds per unit of work, as a moving mean that weights long and recent runs more. */

/** Factor by which each measurement scales the weight of the earlier ones. */
const DECAY = 0.9;
/** Pause without a measurement that halves the weight of the earlier ones: after a long pause, one measurement replaces them. */
const HALF_LIFE_MS = 10_000;

/** An exponentially weighted mean of time per unit. */
export class Rate {
  private ms = 0;
  private units = 0;
  private lastMs: number | null = null;

  /** `atMs` is the time at which the work ended. */
  add(ms: number, units: number, atMs: number): void {
    const weight = DECAY * 0.5 ** ((this.ageMs(atMs) ?? 0) / HALF_LIFE_MS);
    this.ms = this.ms * weight + ms;
    this.units = this.units * weight + units;
    this.lastMs = atMs;
  }

  /** Null until there is a measurement. */
  get msPerUnit(): number | null {
    return this.units === 0 ? null : this.ms / this.units;
  }

  /** Time since the last measurement; null until there is one. */
  ageMs(nowMs: number): number | null {
    return this.lastMs === null ? null : Math.max(0, nowMs - this.lastMs);
  }
}
