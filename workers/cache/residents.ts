import type { BlockKey, BlockMeta, BlockRole } from '../../src/core/block.js';
import type { Shard } from '../../src/core/shard.js';
import { InternalError } from '../../src/errors.js';

interface Resident<T> {
  readonly meta: BlockMeta;
  readonly value: T;
  pins: number;
  /** It is not in the tier any more, and only waits for those who still read it. */
  gone: boolean;
}

/** What a tier wants to be told of its residents. */
export interface ResidentsOwner<T> {
  /** The block has to make room: the last moment to copy it elsewhere. */
  evicting(value: T): void;
  /** Nobody reads it any more, and nobody will: its memory may be given back. */
  free(value: T): void;
}

/** A block of a tier that stays as it is until `release`. */
export interface Held<T> {
  readonly value: T;
  release(): void;
}

/**
 * The blocks of one tier, and what the tier has of each. The shard says which of them goes next; what is read is held by pins, and its memory
 * is not given back before the last of them is released, even where the block itself is dropped meanwhile.
 */
export class Residents<T> {
  private readonly byKey = new Map<BlockKey, Resident<T>>();
  private pins = 0;

  constructor(
    private readonly shard: Shard,
    private readonly owner: ResidentsOwner<T>,
  ) {}

  get size(): number {
    return this.byKey.size;
  }

  /** Pins that are not released. */
  get held(): number {
    return this.pins;
  }

  has(key: BlockKey): boolean {
    return this.byKey.has(key);
  }

  get(key: BlockKey): T | null {
    return this.byKey.get(key)?.value ?? null;
  }

  keys(): IterableIterator<BlockKey> {
    return this.byKey.keys();
  }

  /** In the order in which they would have to make room; without those that are held, and what those follow. To be read at once. */
  *evictionOrder(): Generator<T> {
    for (const { key } of this.shard.evictionOrder()) yield this.byKey.get(key)!.value;
  }

  /** Takes a block in. Throws `InternalError` if it is here, or if `makeRoom` was not asked for its place. */
  insert(meta: BlockMeta, role: BlockRole, value: T): void {
    const { inserted, evicted } = this.shard.insert(meta, role);
    if (!inserted || evicted.length > 0) throw new InternalError(`the shard had no room for block ${meta.key}`);
    this.byKey.set(meta.key, { meta, value, pins: 0, gone: false });
  }

  /** Counts a use of the block, if it is here. */
  touch(key: BlockKey): void {
    this.shard.touch(key);
  }

  /** Holds a block. Null if it is not here. */
  hold(key: BlockKey): Held<T> | null {
    const resident = this.byKey.get(key);
    if (resident === undefined) return null;
    this.shard.pin(key);
    resident.pins++;
    this.pins++;
    let held = true;
    const release = () => {
      if (!held) return;
      held = false;
      resident.pins--;
      this.pins--;
      if (!resident.gone) this.shard.unpin(key);
      else if (resident.pins === 0) this.owner.free(resident.value);
    };
    return { value: resident.value, release };
  }

  /** Drops the block that is missed least, but never `spared`. Its key; null if none may go. */
  evict(spared: BlockKey | null): BlockKey | null {
    const spares = spared !== null && this.byKey.has(spared);
    if (spares) this.shard.pin(spared);
    const key = this.shard.evict();
    if (spares) this.shard.unpin(spared);
    if (key === null) return null;
    const { value } = this.byKey.get(key)!;
    this.byKey.delete(key);
    this.owner.evicting(value);
    this.owner.free(value);
    return key;
  }

  /** Drops a block for another reason than room. False if it is not here. */
  drop(key: BlockKey): boolean {
    const resident = this.byKey.get(key);
    if (resident === undefined) return false;
    this.shard.remove(key);
    this.byKey.delete(key);
    this.leave(resident);
    return true;
  }

  /** Drops everything; names what it was. */
  clear(): BlockKey[] {
    const keys = this.shard.clear();
    const residents = [...this.byKey.values()];
    this.byKey.clear();
    for (const resident of residents) this.leave(resident);
    return keys;
  }

  /** Follows a change of the ring. */
  reassign(roleOf: (block: BlockMeta) => BlockRole): void {
    for (const { meta } of this.byKey.values()) this.shard.setRole(meta.key, roleOf(meta));
  }

  private leave(resident: Resident<T>): void {
    resident.gone = true;
    if (resident.pins === 0) this.owner.free(resident.value);
  }
}
