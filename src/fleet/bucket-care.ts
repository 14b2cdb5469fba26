import type { IsKept, Transport } from '../bus/transport.js';
import { ShoalError } from '../errors.js';
import type { Log } from '../log.js';
import type { FleetBucket } from './buckets.js';

/**
 * The care that coordinators take of a fleet's buckets: they create them, which other members may not, and keep room in them, because whoever may
 * write to a bucket can fill it with values that no member knows.
 */
export class BucketCare {
  constructor(
    private readonly transport: Transport,
    private readonly buckets: readonly FleetBucket[],
    private readonly log: Log,
  ) {}

  /** Creates the missing buckets. One that cannot be used now is left to `check`: the parts that need it say why. */
  async create(): Promise<void> {
    await this.tendAll(null).catch((error: unknown) => {
      if (!(error instanceof ShoalError)) throw error;
    });
  }

  /**
   * Takes care of all buckets. Rejects with the error of one of those that cannot be used. Values are erased only by a process that is known to have the
   * fleet's secret (`isMember`): to others, all values look foreign.
   */
  async check(isMember: boolean): Promise<void> {
    await this.tendAll(isMember ? () => true : null);
  }

  /** The last one comes after the others. */
  private async tendAll(isKept: IsKept | null): Promise<void> {
    const others = await Promise.allSettled(this.buckets.slice(0, -1).map((bucket) => this.tend(bucket, isKept)));
    for (const last of this.buckets.slice(-1)) await this.tend(last, isKept);
    for (const each of others) if (each.status === 'rejected') throw each.reason;
  }

  private async tend({ name, maxBytes, maxValues }: FleetBucket, isKept: IsKept | null): Promise<void> {
    const erased = (await this.transport.tendBucket?.(name, { maxBytes, maxValues }, isKept)) ?? 0;
    if (erased === 0) return;
    this.log.warn(
      { bucket: name, erased },
      'the bucket was nearly full; erased values that no member of the fleet has sealed, and traces of removed ones',
    );
  }
}
