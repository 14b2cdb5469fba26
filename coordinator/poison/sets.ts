/** Maps of sets, without empty sets. */

/** Adds a value to the set of a key. */
export function addTo<V>(sets: Map<string, Set<V>>, key: string, value: V): void {
  const set = sets.get(key) ?? new Set();
  sets.set(key, set);
  set.add(value);
}

/** Removes a value from the set of a key. Returns false if it was not there. */
export function removeFrom<V>(sets: Map<string, Set<V>>, key: string, value: V): boolean {
  const set = sets.get(key);
  const removed = set?.delete(value) ?? false;
  if (set?.size === 0) sets.delete(key);
  return removed;
}
