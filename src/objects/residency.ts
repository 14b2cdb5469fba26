import { Heap, type HeapItem } from '../core/heap.js';
import type { ObjectHash } from './object-name.js';

/**
 * Which objects stay within a budget of bytes: whole or not at all, the least recently used go first, expired ones at once, and those that are
 * being read never. Knows no clock and no memory.
 */

/** Bytes that an object costs beside its value and its key: its entries in maps, names and versions. */
export const OBJECT_OVERHEAD_BYTES = 512;

export interface Resident extends HeapItem {
  readonly hash: ObjectHash;
  /** With the overhead. */
  readonly bytes: number;
  /** Milliseconds since 1970; null if it does not expire. */
  readonly expiresAtMs: number | null;
  /** Whether its memory would be free if it went now. */
  evictable(): boolean;
}

/** Residents looked at for one that may be evicted. */
const EVICTION_TRIES = 64;

/** Counts bytes, and chooses what goes. */
export class ObjectResidency<R extends Resident> {
  /** The least recently used first. */
  private readonly residents = new Map<ObjectHash, R>();
  private readonly expiries = new Heap<R>((a, b) => a.expiresAtMs! < b.expiresAtMs!);
  private residentBytes = 0;
  /** Of values on their way in, and of values that are gone but still read. */
  private otherBytes = 0;

  constructor(readonly budgetBytes: number) {}

  /** Bytes of all objects, of those on their way in, and of those that are gone but still read. */
  get bytes(): number {
    return this.residentBytes + this.otherBytes;
  }

  get size(): number {
    return this.residents.size;
  }

  get(hash: ObjectHash): R | undefined {
    return this.residents.get(hash);
  }

  /** The least recently used first. */
  all(): IterableIterator<R> {
    return this.residents.values();
  }

  /** Sets bytes aside. Gives the residents that have to go for that, which are already counted out; null, and nothing goes, if there is no room. */
  reserve(bytes: number): R[] | null {
    const gone: R[] = [];
    let missing = this.bytes + bytes - this.budgetBytes;
    let tries = EVICTION_TRIES;
    for (const resident of missing > 0 ? this.residents.values() : []) {
      if (missing <= 0 || tries === 0) break;
      if (!resident.evictable()) {
        tries--;
        continue;
      }
      gone.push(resident);
      missing -= resident.bytes;
    }
    if (missing > 0) return null;
    for (const resident of gone) this.remove(resident);
    this.otherBytes += bytes;
    return gone;
  }

  /** Ends a reservation, or the reading of a value that is gone. */
  free(bytes: number): void {
    this.otherBytes -= bytes;
  }

  /** Keeps counting bytes of a value that is gone, until `free`. */
  linger(bytes: number): void {
    this.otherBytes += bytes;
  }

  /** Adds an object for which room has been reserved, in place of the reservation. Its hash must not be there. */
  admit(resident: R): void {
    this.otherBytes -= resident.bytes;
    this.residentBytes += resident.bytes;
    this.residents.set(resident.hash, resident);
    if (resident.expiresAtMs !== null) this.expiries.add(resident);
  }

  /** An object was used. */
  touch(resident: R): void {
    this.residents.delete(resident.hash);
    this.residents.set(resident.hash, resident);
  }

  remove(resident: R): void {
    if (!this.residents.delete(resident.hash)) return;
    this.residentBytes -= resident.bytes;
    if (resident.heapIndex >= 0) this.expiries.remove(resident);
  }

  /** The next object that has expired by this time. */
  expired(nowMs: number): R | null {
    const first = this.expiries.first();
    return first !== undefined && first.expiresAtMs! <= nowMs ? first : null;
  }
}
