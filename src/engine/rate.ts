/** Milliseconds per unit of work, as a moving mean that weights long and recent runs more. */

/** Factor by which each measurement scales the weight of the earlier ones. */
const DECAY = 0.9;

/** An exponentially weighted mean of time per unit. */
export class Rate {
  private ms = 0;
  private units = 0;

  add(ms: number, units: number): void {
    this.ms = this.ms * DECAY + ms;
    this.units = this.units * DECAY + units;
  }

  /** Null until there is a measurement. */
  get msPerUnit(): number | null {
    return this.units === 0 ? null : this.ms / this.units;
  }
}
