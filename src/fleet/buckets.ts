/** The names of a fleet's buckets. `namespace` is one token of letters, digits, `-` and `_`. */

/** The charter, and the few other values that all members share. */
export function fleetBucket(namespace: string): string {
  return `shoal-${namespace}`;
}

/** The counters that order the processes of each worker's ID. */
export function generationBucket(namespace: string): string {
  return `shoal-${namespace}-generations`;
}

/** What coordinators have promised clients to keep. */
export function retentionBucket(namespace: string): string {
  return `shoal-${namespace}-pins`;
}

/** The names of actors, and what it takes to create detached ones again. */
export function actorBucket(namespace: string): string {
  return `shoal-${namespace}-actors`;
}
