/**
 * Versions of objects, in an order on which all replicas agree: by a hybrid logical clock (S. Kulkarni et al., "Logical Physical Clocks", 2014),
 * then by the writer. The clock follows the time of day, and never falls behind a version that it has heard of.
 */

export interface Version {
  /** Milliseconds since 1970 times `TICKS_PER_MS`, or more if versions came faster. */
  readonly at: number;
  /** The process that wrote it: no process gives an `at` twice. */
  readonly writer: string;
}

const TICKS_PER_MS = 1024;

/** Negative if `a` is older than `b`, positive if it is newer, 0 if they are the same. */
export function compareVersions(a: Version, b: Version): number {
  if (a.at !== b.at) return a.at - b.at;
  return a.writer < b.writer ? -1 : a.writer > b.writer ? 1 : 0;
}

/** Whether `a` is newer than `b`; null is older than every version. */
export function isNewer(a: Version, b: Version | null): boolean {
  return b === null || compareVersions(a, b) > 0;
}

/** The `at` of a version that is given at a time, in milliseconds since 1970. */
export function versionTime(wallMs: number): number {
  return Math.floor(wallMs) * TICKS_PER_MS;
}

/** Gives the versions of one process. */
export class HybridClock {
  private last = 0;

  /** @param wallMs the time of day, in milliseconds since 1970; it may jump */
  constructor(
    private readonly writer: string,
    private readonly wallMs: () => number,
  ) {}

  /** A version newer than all that this clock has given or heard of. */
  next(): Version {
    this.last = Math.max(this.last + 1, versionTime(this.wallMs()));
    return { at: this.last, writer: this.writer };
  }

  /** Another process has given this version. */
  heard({ at }: Version): void {
    this.last = Math.max(this.last, at);
  }
}
