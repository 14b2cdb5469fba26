import { Heap, type HeapItem } from '../core/heap.js';
import type { ObjectHash } from './object-name.js';

/**
 * Keeps objects within a budget of bytes. Objects are evicted whole, expired ones at once, and ones being read never. The tenant that has
 * the most makes room first, with the objects that it used least recently. A tenant therefore loses nothing to others while it has no more than its
 * share, the budget divided by the tenants (max-min fairness, D. Bertsekas and R. Gallager, "Data Networks", 1987); a tenant alone may have
 * everything. Pure: no clock, no memory.
 */

export interface Resident extends HeapItem {
  readonly hash: ObjectHash;
  readonly tenant: string;
  /** The value, with its overhead. */
  readonly bytes: number;
  /** Milliseconds since 1970; null if it does not expire. */
  readonly expiresAtMs: number | null;
  /** Whether its memory would be free if it went now. */
  evictable(): boolean;
}

/** Residents looked at for one that may be evicted. */
const EVICTION_TRIES = 64;

/** The objects and bytes of one tenant. */
interface Account<R> extends HeapItem {
  readonly tenant: string;
  /** The least recently used first. */
  readonly residents: Set<R>;
  /** Bytes of its objects, of its incoming values, and of removed values that are still being read. */
  bytes: number;
}

/** A tenant that may have to make room, and the bytes that it would keep. */
interface Giver<R> {
  readonly residents: Iterator<R>;
  bytes: number;
}

/** Counts bytes, and chooses what goes. */
export class ObjectResidency<R extends Resident> {
  private readonly residents = new Map<ObjectHash, R>();
  private readonly accounts = new Map<string, Account<R>>();
  /** The largest first. */
  private readonly largest = new Heap<Account<R>>((a, b) => a.bytes > b.bytes);
  private readonly expiries = new Heap<R>((a, b) => a.expiresAtMs! < b.expiresAtMs!);
  private total = 0;

  constructor(readonly budgetBytes: number) {}

  /** Bytes of all objects, of incoming values, and of removed values that are still being read. */
  get bytes(): number {
    return this.total;
  }

  get size(): number {
    return this.residents.size;
  }

  get(hash: ObjectHash): R | undefined {
    return this.residents.get(hash);
  }

  /** In no useful order. */
  all(): IterableIterator<R> {
    return this.residents.values();
  }

  /**
   * Sets bytes aside for a tenant. Gives the residents that have to go for that, which are already counted out; null, and nothing goes, if there is
   * no room.
   */
  reserve(tenant: string, bytes: number): R[] | null {
    if (bytes > this.budgetBytes) return null;
    const missing = this.total + bytes - this.budgetBytes;
    const gone = missing > 0 ? this.choose(tenant, bytes, missing) : [];
    if (gone === null) return null;
    for (const resident of gone) this.remove(resident);
    this.count(tenant, bytes);
    return gone;
  }

  /** Ends a reservation of a tenant, or the reading of a value that is gone. */
  free(tenant: string, bytes: number): void {
    this.count(tenant, -bytes);
  }

  /** Keeps counting bytes of a value that is gone, until `free`. */
  linger({ tenant, bytes }: R): void {
    this.count(tenant, bytes);
  }

  /** Adds an object for which room has been reserved, in place of the reservation. Its hash must not be there. */
  admit(resident: R): void {
    this.residents.set(resident.hash, resident);
    this.accounts.get(resident.tenant)!.residents.add(resident);
    if (resident.expiresAtMs !== null) this.expiries.add(resident);
  }

  /** Residents in about the order in which they would have to go. Nothing may change during the iteration. */
  *oldest(): Generator<R> {
    for (const account of this.largest.inOrder()) yield* account.residents;
  }

  /** An object was used. */
  touch(resident: R): void {
    const { residents } = this.accounts.get(resident.tenant)!;
    residents.delete(resident);
    residents.add(resident);
  }

  remove(resident: R): void {
    if (!this.residents.delete(resident.hash)) return;
    this.accounts.get(resident.tenant)!.residents.delete(resident);
    this.count(resident.tenant, -resident.bytes);
    if (resident.heapIndex >= 0) this.expiries.remove(resident);
  }

  /** The next object that has expired by this time. */
  expired(nowMs: number): R | null {
    const first = this.expiries.first();
    return first !== undefined && first.expiresAtMs! <= nowMs ? first : null;
  }

  /** The residents that go so that a tenant gets room; null if that is not enough. */
  private choose(tenant: string, bytes: number, missingBytes: number): R[] | null {
    const others = this.largest.inOrder();
    const own = this.accounts.get(tenant);
    const asking = giverOf(own, bytes);
    const givers = [asking];
    let next = others.next();
    let missing = missingBytes;
    let tries = EVICTION_TRIES;
    const gone: R[] = [];
    while (missing > 0) {
      const giver = givers.reduce((most, each) => (each.bytes > most.bytes ? each : most));
      if (!next.done && (next.value === own || next.value.bytes > giver.bytes)) {
        if (next.value !== own) givers.push(giverOf(next.value));
        next = others.next();
        continue;
      }
      const { value: resident, done } = giver.residents.next();
      if (done) {
        if (giver === asking) return null;
        givers.splice(givers.indexOf(giver), 1);
      } else if (resident.evictable()) {
        gone.push(resident);
        giver.bytes -= resident.bytes;
        missing -= resident.bytes;
      } else if (--tries === 0) return null;
    }
    return gone;
  }

  private count(tenant: string, bytes: number): void {
    let account = this.accounts.get(tenant);
    if (account === undefined) {
      account = { tenant, residents: new Set(), bytes: 0, heapIndex: -1 };
      this.accounts.set(tenant, account);
      this.largest.add(account);
    }
    account.bytes += bytes;
    this.total += bytes;
    if (account.bytes > 0 || account.residents.size > 0) {
      this.largest.moved(account);
      return;
    }
    this.accounts.delete(tenant);
    this.largest.remove(account);
  }
}

/** @param more bytes that the tenant is about to get */
function giverOf<R>(account: Account<R> | undefined, more = 0): Giver<R> {
  const { residents = new Set<R>(), bytes = 0 } = account ?? {};
  return { residents: residents.values(), bytes: bytes + more };
}
