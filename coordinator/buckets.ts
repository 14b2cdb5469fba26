import type { KeyValue } from '../src/bus/key-value.js';
import type { Transport } from '../src/bus/transport.js';
import { fleetBucket, retentionBucket } from '../src/fleet/buckets.js';
import { RETENTION_BUCKET_BYTES } from './retention/retention-store.js';

/** The buckets that a coordinator uses, each opened with its size. */
export interface CoordinatorBuckets {
  readonly fleet: () => Promise<KeyValue>;
  readonly retentions: () => Promise<KeyValue>;
  /** By name. */
  readonly of: ReadonlyMap<string, () => Promise<KeyValue>>;
}

export function coordinatorBuckets(transport: Transport, namespace: string): CoordinatorBuckets {
  const fleet = () => transport.openKeyValue(fleetBucket(namespace));
  const retentions = () => transport.openKeyValue(retentionBucket(namespace), RETENTION_BUCKET_BYTES);
  const of = new Map([
    [fleetBucket(namespace), fleet],
    [retentionBucket(namespace), retentions],
  ]);
  return { fleet, retentions, of };
}
