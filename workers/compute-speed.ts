import { middle } from '../src/core/rates.js';
import type { Roster } from '../src/fleet/roster.js';

/** How fast this worker computes a prompt: as its engine has measured it, else as the other workers have. */
export class ComputeSpeed {
  private measured: () => number | null = () => null;

  constructor(private readonly roster: Roster) {}

  /** From now on `msPerToken` is asked first. It returns null until the engine has measured. */
  measureBy(msPerToken: () => number | null): void {
    this.measured = msPerToken;
  }

  /** Null where nobody has measured. */
  msPerToken(): number | null {
    return this.measured() ?? middle(this.roster.members().map(({ rates }) => rates.computeMsPerToken));
  }
}
