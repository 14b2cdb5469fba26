import type { KeyValue } from '../bus/key-value.js';
import type { Transport } from '../bus/transport.js';

/** The buckets of a fleet. `namespace` is one token of letters, digits, `-` and `_`. */

export interface FleetBucket {
  readonly name: string;
  /** Limit on the size of all values, with their keys. */
  readonly maxBytes: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** The charter, and the few other values that all members share. */
export function fleetBucket(namespace: string): FleetBucket {
  return { name: `shoal-${namespace}`, maxBytes: 64 * KIB };
}

/** The counters that order the processes of each worker's ID: room for some thousands of IDs. */
export function generationBucket(namespace: string): FleetBucket {
  return { name: `shoal-${namespace}-generations`, maxBytes: MIB };
}

/**
 * The pins, retentions and purges that coordinators have promised to clients: room for all prompts, and as much again for their seals, headers and
 * slots that await their next use.
 */
export function retentionBucket(namespace: string): FleetBucket {
  return { name: `shoal-${namespace}-pins`, maxBytes: 16 * MIB };
}

/** The names of actors, and the data to create detached ones again. */
export function actorBucket(namespace: string): FleetBucket {
  return { name: `shoal-${namespace}-actors`, maxBytes: 64 * MIB };
}

/** All buckets of a fleet. The charter's comes last: once it is there, a process that joins finds the others too. */
export function fleetBuckets(namespace: string): readonly FleetBucket[] {
  return [actorBucket, generationBucket, retentionBucket, fleetBucket].map((bucket) => bucket(namespace));
}

/** Opens a bucket; rejects as `Transport.openKeyValue` does. */
export function openBucket(transport: Transport, { name, maxBytes }: FleetBucket): Promise<KeyValue> {
  return transport.openKeyValue(name, maxBytes);
}
