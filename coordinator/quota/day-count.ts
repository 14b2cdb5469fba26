const DAY_MS = 86_400_000;

/** A coordinator's report of one day. */
export interface DayReport {
  /** Days since 1970. */
  readonly day: number;
  /** Tokens that it counted itself. */
  readonly own: number;
  /** Tokens over all coordinators known to it. */
  readonly total: number;
}

/**
 * The tokens that one subject has used in the present day of UTC, over all coordinators. The total of another coordinator may contain the use of
 * coordinators that are gone and that this one has never heard; that part counts as unattributed.
 */
export class DayCount {
  private day = 0;
  private own = 0;
  private unattributed = 0;
  private readonly others = new Map<string, number>();

  /** @param wallMs the time of day, in milliseconds since 1970 */
  report(wallMs: number): DayReport {
    this.turn(wallMs);
    return { day: this.day, own: this.own, total: this.attributed + this.unattributed };
  }

  add(tokens: number, wallMs: number): void {
    this.turn(wallMs);
    this.own += tokens;
  }

  hear(from: string, { day, own, total }: DayReport, wallMs: number): void {
    this.turn(wallMs);
    if (day !== this.day) return;
    // The increase in this report may have been in another coordinator's total before.
    this.unattributed = Math.max(0, this.unattributed - Math.max(0, own - (this.others.get(from) ?? 0)));
    this.others.set(from, own);
    this.unattributed = Math.max(this.unattributed, total - this.attributed);
  }

  /** Time to the next day. */
  restMs(wallMs: number): number {
    return DAY_MS - (wallMs % DAY_MS);
  }

  /** Merges a coordinator's use with the use of others that are gone. */
  forget(from: string): void {
    this.unattributed += this.others.get(from) ?? 0;
    this.others.delete(from);
  }

  private get attributed(): number {
    return [...this.others.values()].reduce((sum, tokens) => sum + tokens, this.own);
  }

  private turn(wallMs: number): void {
    const day = Math.floor(wallMs / DAY_MS);
    if (day <= this.day) return;
    this.day = day;
    this.own = 0;
    this.unattributed = 0;
    this.others.clear();
  }
}
