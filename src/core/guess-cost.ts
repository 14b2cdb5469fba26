/** What guessed tokens cost on this device, measured. */

/** Before anything is measured: little, so that it is tried. */
const FIRST = 0.1;
/** A run that another process delayed says nothing. */
const MOST = 2;
/** Weight of each new run against the earlier ones. */
const WEIGHT = 0.1;

export class GuessCost {
  private stepMs: number | null = null;
  private mean = FIRST;

  /** What a guessed token adds to the time of a run, as a part of the time of a step of one token. */
  get perToken(): number {
    return this.mean;
  }

  /** A step of one token took so long. */
  stepped(ms: number): void {
    this.stepMs = this.stepMs === null ? ms : this.stepMs + WEIGHT * (ms - this.stepMs);
  }

  /** A run of one token and so many guessed ones took so long. */
  verified(guessed: number, ms: number): void {
    if (this.stepMs === null || this.stepMs <= 0) return;
    const cost = Math.min(Math.max((ms / this.stepMs - 1) / guessed, 0), MOST);
    this.mean += WEIGHT * (cost - this.mean);
  }
}
