import { FRAME_HEADER_BYTES } from '../limits.js';
import { OBJECT_KEY_BYTES, type ObjectHash, POSITIONS, positionOf } from './object-name.js';

/** Names in the order of their hashes, in which they are listed page by page. */

/** A bucket has the hashes with the same first 12 bits. Only buckets that are listed get sorted. */
const BUCKETS = 4096;
const POSITIONS_PER_BUCKET = POSITIONS / BUCKETS;

/** Limit on the keys of a page, so that it fits the header of one frame between peers. */
const PAGE_BYTES = FRAME_HEADER_BYTES - 4 * 1024;
/** What a key takes in a message beside its bytes, at most. */
const KEY_OVERHEAD_BYTES = 5;

export interface Listed {
  readonly hash: ObjectHash;
  readonly key: Uint8Array;
}

/** The hashes of one space. Listing page by page finds everything that is there all the time. */
export class Listing<T extends Listed> {
  private readonly buckets = new Map<number, Map<ObjectHash, T>>();
  private count = 0;

  get size(): number {
    return this.count;
  }

  add(item: T): void {
    const at = bucketOf(item.hash);
    const bucket = this.buckets.get(at) ?? this.buckets.set(at, new Map()).get(at)!;
    if (!bucket.has(item.hash)) this.count++;
    bucket.set(item.hash, item);
  }

  remove(hash: ObjectHash): void {
    const at = bucketOf(hash);
    const bucket = this.buckets.get(at);
    if (!bucket?.delete(hash)) return;
    this.count--;
    if (bucket.size === 0) this.buckets.delete(at);
  }

  /** All items, in no useful order. Items that come or go during the iteration may be among them or not. */
  *all(): Generator<T> {
    for (const bucket of this.buckets.values()) yield* bucket.values();
  }

  /**
   * Items from a position on, in order, and all items of the last position: at least `least`, unless there are fewer or their keys fill a message
   * before. `next` is the first position that was not looked at; null at the end.
   */
  page(from: number, least: number): { items: T[]; next: number | null } {
    const items: T[] = [];
    let bytes = 0;
    for (let at = Math.floor(from / POSITIONS_PER_BUCKET); at < BUCKETS; at++) {
      const bucket = this.buckets.get(at);
      if (bucket === undefined) continue;
      const sorted = [...bucket.values()].filter(({ hash }) => positionOf(hash) >= from).sort(byHash);
      for (const [index, item] of sorted.entries()) {
        items.push(item);
        bytes += item.key.byteLength + KEY_OVERHEAD_BYTES;
        const position = positionOf(item.hash);
        const following = sorted[index + 1];
        // The next key may be the longest.
        const full = items.length >= least || bytes > PAGE_BYTES - OBJECT_KEY_BYTES - KEY_OVERHEAD_BYTES;
        if (!full || (following !== undefined && positionOf(following.hash) === position)) continue;
        return { items, next: position + 1 < POSITIONS ? position + 1 : null };
      }
    }
    return { items, next: null };
  }
}

function bucketOf(hash: ObjectHash): number {
  return Number.parseInt(hash.slice(0, 3), 16);
}

function byHash(a: Listed, b: Listed): number {
  return a.hash < b.hash ? -1 : 1;
}
