import { Heap } from '../../src/core/heap.js';
import type { TracedRequest } from './trace.js';

/** The hit rates of other ways to cache the prompts of a trace, for comparison with a replay. Requests come one after another. */

interface Cached {
  readonly id: number;
  readonly parent: number | null;
  /** The least one goes first. */
  value: number;
  heapIndex: number;
}

/** A cache of one memory over trees of prefixes: evicts leaves only, the least valuable first. */
class TreeCache {
  private readonly cached = new Map<number, Cached>();
  private readonly children = new Map<number, number>();
  private readonly leaves = new Heap<Cached>((a, b) => a.value < b.value);

  constructor(private readonly capacity: number) {}

  has(id: number): boolean {
    return this.cached.has(id);
  }

  /** Uses a prompt: `worthOf` gives the value of each of its blocks from now on, or null for a block that is not worth keeping. */
  use(ids: readonly number[], worthOf: (id: number, i: number) => number | null): void {
    for (const [i, id] of ids.entries()) {
      const value = worthOf(id, i);
      const parent = i === 0 ? null : ids[i - 1]!;
      const known = this.cached.get(id);
      if (known) {
        known.value = value ?? Number.NEGATIVE_INFINITY;
        if (known.heapIndex !== -1) this.leaves.moved(known);
      } else if (value === null || !this.add({ id, parent, value, heapIndex: -1 })) return;
    }
  }

  private add(entry: Cached): boolean {
    const { parent } = entry;
    if (parent !== null && !this.cached.has(parent)) return false;
    // The parent is not a leaf while there is room to be made for its child.
    if (parent !== null) this.count(parent, 1);
    if (this.cached.size >= this.capacity && !this.evictFor(entry)) {
      if (parent !== null) this.count(parent, -1);
      return false;
    }
    this.cached.set(entry.id, entry);
    this.leaves.add(entry);
    return true;
  }

  private evictFor({ value }: Cached): boolean {
    const victim = this.leaves.first();
    if (victim === undefined || victim.value >= value) return false;
    this.leaves.remove(victim);
    this.cached.delete(victim.id);
    if (victim.parent !== null) this.count(victim.parent, -1);
    return true;
  }

  private count(id: number, change: 1 | -1): void {
    const count = (this.children.get(id) ?? 0) + change;
    if (count === 0) this.children.delete(id);
    else this.children.set(id, count);
    const entry = this.cached.get(id);
    if (entry === undefined) return;
    if (count === 0) this.leaves.add(entry);
    else if (entry.heapIndex !== -1) this.leaves.remove(entry);
  }
}

/** The share of blocks that some cache has, where `cacheOf` chooses the cache of a request, and `worthOf` the worth of a block after a use. */
function hitRate(
  trace: readonly TracedRequest[],
  cacheOf: (request: TracedRequest, at: number) => TreeCache,
  worthOf: (id: number, at: number) => number | null,
): number {
  let hits = 0;
  let blocks = 0;
  for (const [at, request] of trace.entries()) {
    const { ids } = request;
    const cache = cacheOf(request, at);
    const miss = ids.findIndex((id) => !cache.has(id));
    hits += miss === -1 ? ids.length : miss;
    blocks += ids.length;
    cache.use(ids, (id) => worthOf(id, at));
  }
  return hits / blocks;
}

const byUse = (_: number, at: number) => at;

/** Everything is kept. */
export function unlimited(trace: readonly TracedRequest[]): number {
  const cache = new TreeCache(Number.POSITIVE_INFINITY);
  return hitRate(trace, () => cache, byUse);
}

/** One LRU with the memory of all workers. */
export function pooledLru(trace: readonly TracedRequest[], capacity: number): number {
  const cache = new TreeCache(capacity);
  return hitRate(trace, () => cache, byUse);
}

/** An LRU in each worker, which get the requests in turn. */
export function roundRobin(trace: readonly TracedRequest[], workers: number, perWorker: number): number {
  const caches = Array.from({ length: workers }, () => new TreeCache(perWorker));
  return hitRate(trace, (_, at) => caches[at % workers]!, byUse);
}

/** The last step of MurmurHash3. */
function spread(id: number): number {
  let hash = Math.imul(id ^ (id >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Number of leading blocks whose hash selects a request's worker. */
const HASHED_BLOCKS = 2;

/** An LRU in each worker, which get the requests by a hash of the first 1,024 tokens. */
export function prefixHash(trace: readonly TracedRequest[], workers: number, perWorker: number): number {
  const caches = Array.from({ length: workers }, () => new TreeCache(perWorker));
  const hashed = (ids: readonly number[]) => ids[Math.min(HASHED_BLOCKS, ids.length) - 1]!;
  return hitRate(trace, ({ ids }) => caches[spread(hashed(ids)) % workers]!, byUse);
}

/**
 * One memory that knows the future: keeps the blocks used soonest, and none that are never used again (L. Belady, 1966; over trees of prefixes, where
 * only leaves may go, it is not a proven optimum, but close to one).
 */
export function offlineOptimum(trace: readonly TracedRequest[], capacity: number): number {
  const cache = new TreeCache(capacity);
  const uses = new Map<number, number[]>();
  for (const [at, { ids }] of trace.entries()) {
    for (const id of ids) {
      const known = uses.get(id);
      if (known) known.push(at);
      else uses.set(id, [at]);
    }
  }
  for (const known of uses.values()) known.reverse();
  return hitRate(
    trace,
    () => cache,
    (id, at) => {
      const coming = uses.get(id)!;
      while (coming.length > 0 && coming.at(-1)! <= at) coming.pop();
      return coming.length === 0 ? null : -coming.at(-1)!;
    },
  );
}
