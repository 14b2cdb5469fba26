/** Figures over all tenants for callers that must not learn from them what another tenant does: rounded, and the same for a minute. */

/** How long a figure stays as it was taken. @internal exported for tests. */
export const COARSE_MS = 60_000;
/** Parts of a whole that are told apart. */
const PARTS = 8;

/** A part of a whole, rounded to eighths of it. */
export function coarsePart(part: number, whole: number): number {
  return whole <= 0 ? 0 : (Math.round((PARTS * Math.min(part, whole)) / whole) * whole) / PARTS;
}

/** A count, rounded down to a power of two; 0 below `least`. */
export function coarseCount(count: number, least: number): number {
  return count < least ? 0 : 2 ** Math.floor(Math.log2(count));
}

/** Gives the figures of a clock's last full minute. */
export class EachMinute<T> {
  private minute = Number.NaN;
  private taken: T | null = null;

  /** @param nowMs by any clock that does not run backwards */
  at(nowMs: number, take: () => T): T {
    const minute = Math.floor(nowMs / COARSE_MS);
    if (minute === this.minute && this.taken !== null) return this.taken;
    this.minute = minute;
    this.taken = take();
    return this.taken;
  }
}
