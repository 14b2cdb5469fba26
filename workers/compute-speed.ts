import { middle } from '../src/core/rates.js';
import type { Roster } from '../src/fleet/roster.js';

/** The speed of prefill on this worker: as measured by its engine, else the median of all workers' measurements. */
export class ComputeSpeed {
  private measured: () => number | null = () => null;

  constructor(private readonly roster: Roster) {}

  /** Sets the source of this worker's own measurement. It returns null until there is one. */
  measureBy(msPerToken: () => number | null): void {
    this.measured = msPerToken;
  }

  /** Null if no worker has a measurement. */
  msPerToken(): number | null {
    return this.measured() ?? middle(this.roster.members().map(({ rates }) => rates.computeMsPerToken));
  }
}
