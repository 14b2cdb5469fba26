import type { Sweeping, Transport } from '../bus/transport.js';
import { ShoalError } from '../errors.js';
import type { Log } from '../log.js';
import type { FleetBucket } from './buckets.js';

/**
 * The care that coordinators take of a fleet's buckets: they create them, which other members may not, and keep room in them, because any
 * writer of a bucket can fill it with values that no member knows.
 */
export class BucketCare {
  constructor(
    private readonly transport: Transport,
    private readonly buckets: readonly FleetBucket[],
    private readonly log: Log,
  ) {}

  /** Creates the missing buckets. One that cannot be used now is left to `check`: the parts that need it say why. */
  async create(): Promise<void> {
    await this.tendAll('none').catch((error: unknown) => {
      if (!(error instanceof ShoalError)) throw error;
    });
  }

  /**
   * Takes care of all buckets. Rejects with the error of one of those that cannot be used. To a process with another secret all values look foreign.
   * Unless this process is known to have the fleet's (`provesSecret`), it therefore erases only in buckets that it has created itself: no other fleet
   * had values there before.
   */
  async check(provesSecret: boolean): Promise<void> {
    await this.tendAll(provesSecret ? 'any' : 'created');
  }

  /** The last one comes after the others. */
  private async tendAll(sweeping: Sweeping): Promise<void> {
    const others = await Promise.allSettled(this.buckets.slice(0, -1).map((bucket) => this.tend(bucket, sweeping)));
    for (const last of this.buckets.slice(-1)) await this.tend(last, sweeping);
    for (const each of others) if (each.status === 'rejected') throw each.reason;
  }

  private async tend({ name, maxBytes, maxValues }: FleetBucket, sweeping: Sweeping): Promise<void> {
    const erased = (await this.transport.tendBucket?.(name, { maxBytes, maxValues }, sweeping)) ?? 0;
    if (erased === 0) return;
    this.log.warn(
      { bucket: name, erased },
      'the bucket was nearly full; erased values that no member of the fleet has sealed, and traces of removed ones',
    );
  }
}
