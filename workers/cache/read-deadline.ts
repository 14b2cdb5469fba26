import { Rate } from '../../src/engine/rate.js';

/** The deadline of a read from a disk. */

/**
 * The deadline: a multiple of the usual time of reads, or of the time to compute the block if that is longer, within bounds. The
 * lower bound exists because a busy CPU delays reads too.
 */
export const READ_DEADLINE = { usual: 8, compute: 2, leastMs: 250, mostMs: 2_000 } as const;

/** How long a read may take: for longer than that, the block is computed instead. */
export class ReadDeadline {
  private readonly readTime = new Rate();

  /** `computeMsPerBlock` returns null while that time is unknown. */
  constructor(private readonly computeMsPerBlock: () => number | null) {}

  get ms(): number {
    const { usual, compute, leastMs, mostMs } = READ_DEADLINE;
    const usualMs = usual * (this.readTime.msPerUnit ?? 0);
    const computeMs = compute * (this.computeMsPerBlock() ?? 0);
    return Math.min(mostMs, Math.max(leastMs, usualMs, computeMs));
  }

  /** A read has ended. */
  measured(startMs: number, endMs: number): void {
    this.readTime.add(endMs - startMs, 1, endMs);
  }
}
