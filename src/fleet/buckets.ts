/** The names of a fleet's buckets. `namespace` is one token of letters, digits, `-` and `_`. */

/** The charter, and the few other values that all members share. */
export function fleetBucket(namespace: string): string {
  return `shoal-${namespace}`;
}

/** The counters that order the processes of each worker's ID. */
export function generationBucket(namespace: string): string {
  return `shoal-${namespace}-generations`;
}

/** The pins and retentions that coordinators have promised to clients. */
export function retentionBucket(namespace: string): string {
  return `shoal-${namespace}-pins`;
}

/** The names of actors, and the data to create detached ones again. */
export function actorBucket(namespace: string): string {
  return `shoal-${namespace}-actors`;
}
