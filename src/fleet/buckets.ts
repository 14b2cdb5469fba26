import type { KeyValue } from '../bus/key-value.js';
import type { BucketLimits, Transport } from '../bus/transport.js';
import { BUCKET_SUFFIXES } from './bucket-suffixes.js';

/** The buckets of a fleet. `namespace` is one token of letters, digits, `-` and `_`, with none of `BUCKET_SUFFIXES` at its end. */

export interface FleetBucket extends BucketLimits {
  readonly name: string;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** The charter, and the few other values that all members share. */
export function fleetBucket(namespace: string): FleetBucket {
  return { name: nameOf(namespace), maxBytes: 64 * KIB, maxValues: 256 };
}

/** The counters that order the processes of each worker's ID: room for some thousands of IDs. */
export function generationBucket(namespace: string): FleetBucket {
  return { name: nameOf(namespace, 'generations'), maxBytes: MIB, maxValues: 8_192 };
}

/**
 * The pins, retentions and purges that coordinators have promised to clients: room for all prompts, and as much again for their seals, headers and
 * slots that await their next use.
 */
export function retentionBucket(namespace: string): FleetBucket {
  return { name: nameOf(namespace, 'retentions'), maxBytes: 16 * MIB, maxValues: 4_096 };
}

/** The names of actors, and the data to create detached ones again. */
export function actorBucket(namespace: string): FleetBucket {
  return { name: nameOf(namespace, 'actors'), maxBytes: 64 * MIB, maxValues: 65_536 };
}

/** All buckets of a fleet. The charter's comes last: once it is there, a process that joins finds the others too. */
export function fleetBuckets(namespace: string): readonly FleetBucket[] {
  return [actorBucket, generationBucket, retentionBucket, fleetBucket].map((bucket) => bucket(namespace));
}

/** Opens a bucket; rejects as `Transport.openKeyValue` does. */
export function openBucket(transport: Transport, { name, maxBytes, maxValues }: FleetBucket): Promise<KeyValue> {
  return transport.openKeyValue(name, { maxBytes, maxValues });
}

/** Without a suffix, the name of the bucket with the charter. */
function nameOf(namespace: string, suffix?: keyof typeof BUCKET_SUFFIXES): string {
  return `shoal-${namespace}${suffix === undefined ? '' : BUCKET_SUFFIXES[suffix]}`;
}
