/** Weight that what was measured before keeps at each measurement. */
const MEMORY = 0.9;

/**
 * Milliseconds a unit of work, as an exponentially weighted mean: long runs count for more than short ones, new ones for more than old ones.
 */
export class Rate {
  private ms = 0;
  private units = 0;

  add(ms: number, units: number): void {
    this.ms = this.ms * MEMORY + ms;
    this.units = this.units * MEMORY + units;
  }

  /** Null until there is a measurement. */
  get msPerUnit(): number | null {
    return this.units === 0 ? null : this.ms / this.units;
  }
}
