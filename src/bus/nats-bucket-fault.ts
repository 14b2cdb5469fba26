import { type BucketInfo, usedPart } from './nats-bucket-sweep.js';

/** Tells by what the server says of a bucket whether it takes values. */

/** A bucket of which more is used counts as full: the next values will not fit. */
const FULL = 0.98;

/** What the server says of the stream of a bucket. Settings that a server does not know are absent. */
export interface BucketSettings extends BucketInfo {
  readonly config: BucketInfo['config'] & {
    readonly max_msg_size?: number;
    readonly max_age?: number;
    readonly sealed?: boolean;
    readonly no_ack?: boolean;
  };
}

/** Why a bucket takes no values, or not all; null if it does. `maxBytes`: the size that it was created with. */
export function bucketFault(bucket: string, info: BucketSettings, maxBytes: number): string | null {
  const { config } = info;
  const { max_msg_size: valueBytes = -1, max_age: ageNs = 0 } = config;
  const changes = [
    config.sealed === true && 'it is sealed',
    config.no_ack === true && 'it confirms no writes',
    valueBytes >= 0 && `its values may have ${valueBytes} bytes`,
    ageNs > 0 && 'its values expire',
    config.max_bytes > 0 && config.max_bytes < maxBytes && `it may have ${config.max_bytes} bytes of ${maxBytes}`,
  ].filter((change) => change !== false);
  if (changes.length > 0) return changedSettings(bucket, changes.join(', '));
  return usedPart(info) >= FULL ? fullBucket(bucket) : null;
}

export function changedSettings(bucket: string, reason: string): string {
  return `the bucket ${bucket} has other settings than shoal gave it (${reason}): ${deletion(bucket)}`;
}

export function fullBucket(bucket: string, reason?: string): string {
  const why = reason === undefined ? '' : ` (${reason})`;
  return `the bucket ${bucket} is full${why}: coordinators erase values that no member of the fleet has sealed, some thousands in five seconds; if members filled it, remove pins or actors; else ${deletion(bucket)}`;
}

function deletion(bucket: string): string {
  return `delete it with the nats tool (nats kv del ${bucket}), and the fleet creates it again; change the passwords of NATS if others know them`;
}
