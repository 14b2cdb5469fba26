/**
 * A token bucket: it fills at a constant rate up to its capacity. What is taken from it may exceed what is in it; the debt is then paid before anything
 * more is given. So what is taken in the long run keeps to the rate, even if some of it becomes known late.
 */
export class Bucket {
  private level: number;
  private atMs: number;

  /** Starts full. */
  constructor(
    readonly capacity: number,
    private readonly perMs: number,
    nowMs: number,
  ) {
    this.level = capacity;
    this.atMs = nowMs;
  }

  /** The content; negative while there is a debt. */
  content(nowMs: number): number {
    const passedMs = Math.max(0, nowMs - this.atMs);
    this.level = Math.min(this.capacity, this.level + passedMs * this.perMs);
    this.atMs = Math.max(nowMs, this.atMs);
    return this.level;
  }

  take(amount: number, nowMs: number): void {
    this.level = Math.min(this.capacity, this.content(nowMs) - amount);
  }

  /** Time until it contains `amount`, which is at most its capacity. */
  waitMs(amount: number, nowMs: number): number {
    return Math.max(0, (amount - this.content(nowMs)) / this.perMs);
  }
}
