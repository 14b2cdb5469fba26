import type { Clock } from '../../src/clock.js';
import { Unavailable } from '../../src/errors.js';
import type { PacedLog } from '../../src/paced-log.js';

/** The pause in writes to a disk that refused one. */

/** @internal exported for tests. */
export const DISK_PAUSE_MS = 30_000;

export class WritePause {
  /** When the disk refused a write; null once a later write succeeded. */
  private refusedAtMs: number | null = null;

  constructor(
    private readonly clock: Clock,
    private readonly log: PacedLog,
  ) {}

  /** Whether the last write succeeded, or the pause after a refused one is over. */
  get over(): boolean {
    return this.refusedAtMs === null || this.clock.now() - this.refusedAtMs >= DISK_PAUSE_MS;
  }

  /** The disk refused a write. Nothing happens if it merely did not answer: then it is probed. */
  refused(err: unknown): void {
    if (err instanceof Unavailable) return;
    if (this.refusedAtMs === null) {
      this.log.state(
        'writes',
        'warn',
        { err },
        'the disk takes no blocks: they are kept in memory alone until it does again',
      );
    }
    this.refusedAtMs = this.clock.now();
  }

  accepted(): void {
    if (this.refusedAtMs !== null) this.log.state('writes', 'warn', {}, 'the disk takes blocks again');
    this.refusedAtMs = null;
  }
}
