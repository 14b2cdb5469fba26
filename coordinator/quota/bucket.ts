/**
 * A token bucket: it fills at a constant rate up to its capacity. More may be taken than it contains; the debt is then paid before anything
 * more is given. So long-run use keeps to the rate, even if some of it becomes known late.
 */
export class Bucket {
  /** The amount taken and not yet replaced. */
  private taken = 0;
  private atMs: number;
  private most: number;
  private perMs: number;

  /** Starts full. */
  constructor(capacity: number, perMs: number, nowMs: number) {
    this.most = capacity;
    this.perMs = perMs;
    this.atMs = nowMs;
  }

  get capacity(): number {
    return this.most;
  }

  /** Another capacity and rate from now on. The amount taken is kept. */
  resize(capacity: number, perMs: number, nowMs: number): void {
    this.missing(nowMs);
    this.most = capacity;
    this.perMs = perMs;
  }

  /** The content; negative while there is a debt. */
  content(nowMs: number): number {
    return this.most - this.missing(nowMs);
  }

  /** How much less it contains than when it is full. */
  missing(nowMs: number): number {
    const passedMs = Math.max(0, nowMs - this.atMs);
    this.taken = Math.max(0, this.taken - passedMs * this.perMs);
    this.atMs = Math.max(nowMs, this.atMs);
    return this.taken;
  }

  take(amount: number, nowMs: number): void {
    this.taken = Math.max(0, this.missing(nowMs) + amount);
  }

  /** Time until it contains `amount`, which is at most its capacity. */
  waitMs(amount: number, nowMs: number): number {
    return Math.max(0, (amount - this.content(nowMs)) / this.perMs);
  }
}
