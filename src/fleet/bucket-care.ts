import type { Transport } from '../bus/transport.js';
import { ShoalError } from '../errors.js';
import type { Log } from '../log.js';
import type { FleetBucket } from './buckets.js';

/**
 * Creates the missing buckets, and returns the check that continues the care for all of them. A bucket that cannot be used now is left to that check:
 * the parts that need it say why.
 */
export async function careForBuckets(
  transport: Transport,
  buckets: readonly FleetBucket[],
  log: Log,
): Promise<() => Promise<void>> {
  const care = new BucketCare(transport, buckets, log);
  await care.check().catch((error: unknown) => {
    if (!(error instanceof ShoalError)) throw error;
  });
  return () => care.check();
}

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

  /** Takes care of all buckets. The last one comes after the others. Rejects with the error of one of those that cannot be used. */
  async check(): Promise<void> {
    const others = await Promise.allSettled(this.buckets.slice(0, -1).map((bucket) => this.tend(bucket)));
    for (const last of this.buckets.slice(-1)) await this.tend(last);
    for (const each of others) if (each.status === 'rejected') throw each.reason;
  }

  private async tend({ name, maxBytes }: FleetBucket): Promise<void> {
    const erased = (await this.transport.tendBucket?.(name, maxBytes, () => true)) ?? 0;
    if (erased === 0) return;
    this.log.warn(
      { bucket: name, erased },
      'the bucket was nearly full; erased values that no member of the fleet has sealed, and traces of removed ones',
    );
  }
}
