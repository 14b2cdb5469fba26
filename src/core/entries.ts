/** The entries of a member list, as a value. */

/** Changes that are kept apart from the rest. A copy of all entries is made once in as many changes. */
const RECENT = 32;

/** The common interface of `Entries` and `EntriesDraft`. */
export interface EntryList<T> extends Iterable<[string, T]> {
  get(id: string): T | undefined;
  readonly size: number;
}

/** A map that never changes. A draft's cost grows with the latest changes, not with the fleet: most steps change one entry. */
export class Entries<T> implements EntryList<T> {
  /** @param recent entries that were added to `base`, or replace one there */
  private constructor(
    private readonly base: ReadonlyMap<string, T>,
    private readonly recent: ReadonlyMap<string, T>,
    readonly size: number,
  ) {}

  static none<T>(): Entries<T> {
    return new Entries<T>(new Map(), new Map(), 0);
  }

  /** @internal for `EntriesDraft` */
  static of<T>(base: ReadonlyMap<string, T>, recent: ReadonlyMap<string, T>, size: number): Entries<T> {
    if (recent.size <= RECENT) return new Entries(base, recent, size);
    return new Entries(new Map([...base, ...recent]), new Map(), size);
  }

  get(id: string): T | undefined {
    return this.recent.get(id) ?? this.base.get(id);
  }

  *[Symbol.iterator](): Iterator<[string, T]> {
    for (const [id, entry] of this.base) yield [id, this.recent.get(id) ?? entry];
    for (const added of this.recent) if (!this.base.has(added[0])) yield added;
  }

  draft(): EntriesDraft<T> {
    return new EntriesDraft(this, this.base, new Map(this.recent));
  }
}

/** Entries that are being changed. */
export class EntriesDraft<T> implements EntryList<T> {
  size: number;

  constructor(
    before: Entries<T>,
    private base: ReadonlyMap<string, T>,
    private recent: Map<string, T>,
  ) {
    this.size = before.size;
  }

  get(id: string): T | undefined {
    return this.recent.get(id) ?? this.base.get(id);
  }

  set(id: string, entry: T): void {
    if (this.get(id) === undefined) this.size++;
    this.recent.set(id, entry);
  }

  delete(id: string): void {
    const rest = new Map(this);
    if (!rest.delete(id)) return;
    this.size--;
    this.base = rest;
    this.recent = new Map();
  }

  [Symbol.iterator](): Iterator<[string, T]> {
    return Entries.of(this.base, this.recent, this.size)[Symbol.iterator]();
  }

  /** The changed entries. The draft must not be changed afterwards. */
  done(): Entries<T> {
    return Entries.of(this.base, this.recent, this.size);
  }
}
