import type { KeyValue } from '../src/bus/key-value.js';
import type { Transport } from '../src/bus/transport.js';
import { type FleetBucket, fleetBucket, fleetBuckets, openBucket, retentionBucket } from '../src/fleet/buckets.js';

/** The buckets that a coordinator uses, each opened with its size. */
export interface CoordinatorBuckets {
  readonly fleet: () => Promise<KeyValue>;
  readonly retentions: () => Promise<KeyValue>;
  /** All buckets of the fleet by name, also those that only others use. */
  readonly of: ReadonlyMap<string, () => Promise<KeyValue>>;
}

export function coordinatorBuckets(transport: Transport, namespace: string): CoordinatorBuckets {
  const opening = (bucket: FleetBucket) => () => openBucket(transport, bucket);
  return {
    fleet: opening(fleetBucket(namespace)),
    retentions: opening(retentionBucket(namespace)),
    of: new Map(fleetBuckets(namespace).map((bucket) => [bucket.name, opening(bucket)])),
  };
}
