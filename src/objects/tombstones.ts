import type { ObjectHash, ObjectName } from './object-name.js';
import { isNewer, type Version } from './version.js';

/** The versions at which objects were deleted, so that an older copy of a deleted object does not bring it back. Bounded in number and time. */

/** How long a deletion is remembered: longer than a member that was cut off keeps old copies without comparing them. */
const TOMBSTONE_MS = 600_000;
/** Limit on the deletions that a worker remembers. The oldest are forgotten first. */
const TOMBSTONES = 65_536;

export interface Tombstone {
  readonly name: ObjectName;
  readonly version: Version;
  /** On the clock of the caller. */
  readonly sinceMs: number;
}

export class Tombstones {
  /** The oldest first. */
  private readonly known = new Map<ObjectHash, Tombstone>();

  constructor(private readonly limit = TOMBSTONES) {}

  get size(): number {
    return this.known.size;
  }

  get(hash: ObjectHash): Tombstone | null {
    return this.known.get(hash) ?? null;
  }

  all(): IterableIterator<Tombstone> {
    return this.known.values();
  }

  /** Remembers a deletion, unless a later one is known. */
  add(tombstone: Tombstone): void {
    const { hash } = tombstone.name;
    if (!isNewer(tombstone.version, this.known.get(hash)?.version ?? null)) return;
    this.known.delete(hash);
    this.known.set(hash, tombstone);
    if (this.known.size <= this.limit) return;
    const [oldest] = this.known.keys();
    this.known.delete(oldest!);
  }

  /** A later version is there. */
  forget(hash: ObjectHash): void {
    this.known.delete(hash);
  }

  /** Drops tombstones that are too old. */
  expire(nowMs: number): void {
    for (const [hash, { sinceMs }] of this.known) {
      if (nowMs - sinceMs < TOMBSTONE_MS) return;
      this.known.delete(hash);
    }
  }
}
