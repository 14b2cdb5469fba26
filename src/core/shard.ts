import { InternalError } from '../errors.js';
import type { BlockKey, BlockMeta, BlockRole } from './block.js';
import { Heap, type HeapItem } from './heap.js';

/** A block that may go, and in what role it is here. */
export interface Victim {
  readonly key: BlockKey;
  readonly role: BlockRole;
}

export interface Insertion {
  /** False if it was here before, or if there is no room because everything is pinned or in the way of something that is. */
  readonly inserted: boolean;
  /** What had to go. Their memory is the caller's to free. */
  readonly evicted: readonly Victim[];
}

interface Resident extends HeapItem {
  readonly meta: BlockMeta;
  role: BlockRole;
  pins: number;
  usedAt: number;
}

/** A block in an order of eviction that is only thought of. */
interface Going extends HeapItem {
  readonly resident: Resident;
  /** What else may go, after it. */
  readonly rest: Iterator<Resident> | null;
}

/**
 * Index of the blocks of one tier of a worker's memory, within a hard budget. Knows names, not bytes. Evicts guests before homes, a
 * block only when none of its children is here, least recently used first, pinned ones never. All in O(log n).
 *
 * A block may be here without its parent, since the ring spreads the segments of a prompt. Such an orphan is as good as any.
 */
export class Shard {
  readonly budgetBlocks: number;
  private readonly blocks = new Map<BlockKey, Resident>();
  /** Children that are here, by parent, whether the parent is here or not. */
  private readonly children = new Map<BlockKey, number>();
  /** Blocks that may go, by role. */
  private readonly evictable: Record<BlockRole, Heap<Resident>> = {
    guest: new Heap(usedBefore),
    home: new Heap(usedBefore),
  };
  /** Counts uses; stands in for a clock. */
  private use = 0;
  private _homes = 0;

  constructor(budgetBlocks: number) {
    this.budgetBlocks = budgetBlocks;
  }

  get size(): number {
    return this.blocks.size;
  }

  /** How many are here as a duty. */
  get homes(): number {
    return this._homes;
  }

  has(key: BlockKey): boolean {
    return this.blocks.has(key);
  }

  get(key: BlockKey): { readonly meta: BlockMeta; readonly role: BlockRole; readonly pins: number } | undefined {
    return this.blocks.get(key);
  }

  /** All blocks, in the order they came. */
  residents(): IterableIterator<{ readonly meta: BlockMeta; readonly role: BlockRole }> {
    return this.blocks.values();
  }

  /** Takes a block in, as the most recently used, with one pin if `pinned`. Evicts where the budget is used up, never the block's parent. */
  insert(meta: BlockMeta, role: BlockRole, pinned = false): Insertion {
    if (this.blocks.has(meta.key)) return { inserted: false, evicted: [] };
    const parent = meta.parent === null ? undefined : this.blocks.get(meta.parent);
    if (parent !== undefined) this.setPins(parent, parent.pins + 1);
    const evicted: Victim[] = [];
    while (this.blocks.size >= this.budgetBlocks) {
      const victim = this.victim();
      if (victim === null) break;
      this.remove(victim.key);
      evicted.push(victim);
    }
    if (parent !== undefined) this.setPins(parent, parent.pins - 1);
    if (this.blocks.size >= this.budgetBlocks) return { inserted: false, evicted };

    const resident: Resident = { meta, role, pins: pinned ? 1 : 0, usedAt: ++this.use, heapIndex: -1 };
    this.blocks.set(meta.key, resident);
    if (role === 'home') this._homes++;
    this.countChild(meta.parent, 1);
    this.settle(resident);
    return { inserted: true, evicted };
  }

  /** Drops a block for another reason than room, pinned or not. False if it was not here. */
  remove(key: BlockKey): boolean {
    const resident = this.blocks.get(key);
    if (resident === undefined) return false;
    this.drop(resident);
    return true;
  }

  /** The block that is missed least; only from among guests if so asked. Null if none may go. */
  victim(among: 'all' | 'guests' = 'all'): Victim | null {
    const first = this.evictable.guest.first() ?? (among === 'all' ? this.evictable.home.first() : undefined);
    return first === undefined ? null : { key: first.meta.key, role: first.role };
  }

  /** Drops the victim and names it. Null if none may go. */
  evict(among: 'all' | 'guests' = 'all'): BlockKey | null {
    const victim = this.victim(among);
    if (victim !== null) this.remove(victim.key);
    return victim?.key ?? null;
  }

  /** Drops everything, pinned or not; names what it was. */
  clear(): BlockKey[] {
    const dropped = [...this.blocks.keys()];
    this.blocks.clear();
    this.children.clear();
    for (const heap of Object.values(this.evictable)) heap.clear();
    this._homes = 0;
    return dropped;
  }

  /**
   * The blocks in the order in which they would go if one after another had to, without those that may not. To be read at once: a change
   * of the shard ends what it is good for. The first k of them cost O(k log k), however many there are.
   */
  *evictionOrder(): Generator<BlockMeta> {
    const going = new Heap<Going>((a, b) => goesBefore(a.resident, b.resident));
    const addFirst = (rest: Iterator<Resident>) => {
      const { value, done } = rest.next();
      if (!done) going.add({ resident: value, rest, heapIndex: -1 });
    };
    for (const heap of Object.values(this.evictable)) addFirst(heap.inOrder());
    /** Children that would be left. */
    const left = new Map<BlockKey, number>();
    for (let next = going.first(); next !== undefined; next = going.first()) {
      going.remove(next);
      if (next.rest !== null) addFirst(next.rest);
      const { meta } = next.resident;
      yield meta;
      const parent = meta.parent === null ? undefined : this.blocks.get(meta.parent);
      if (parent === undefined) continue;
      const children = (left.get(parent.meta.key) ?? this.children.get(parent.meta.key)!) - 1;
      left.set(parent.meta.key, children);
      if (children === 0 && parent.pins === 0) going.add({ resident: parent, rest: null, heapIndex: -1 });
    }
  }

  /** Says that a block was used. Nothing, if it is not here. */
  touch(key: BlockKey): void {
    const resident = this.blocks.get(key);
    if (resident === undefined) return;
    resident.usedAt = ++this.use;
    if (resident.heapIndex !== -1) this.evictable[resident.role].moved(resident);
  }

  /** Keeps a block from being evicted until as many `unpin` as `pin` have come. The block must be here. */
  pin(key: BlockKey): void {
    const resident = this.present(key);
    this.setPins(resident, resident.pins + 1);
  }

  unpin(key: BlockKey): void {
    const resident = this.present(key);
    if (resident.pins === 0) throw new InternalError(`Unpinning block ${key}: it is not pinned.`);
    this.setPins(resident, resident.pins - 1);
  }

  /** Follows a change of the ring. False if the block is not here or has that role. */
  setRole(key: BlockKey, role: BlockRole): boolean {
    const resident = this.blocks.get(key);
    if (resident === undefined || resident.role === role) return false;
    if (resident.heapIndex !== -1) this.evictable[resident.role].remove(resident);
    resident.role = role;
    this._homes += role === 'home' ? 1 : -1;
    this.settle(resident);
    return true;
  }

  private present(key: BlockKey): Resident {
    const resident = this.blocks.get(key);
    if (resident === undefined) throw new InternalError(`Pinning or unpinning block ${key}: it is not here.`);
    return resident;
  }

  private setPins(resident: Resident, pins: number): void {
    resident.pins = pins;
    this.settle(resident);
  }

  private drop(resident: Resident): void {
    this.blocks.delete(resident.meta.key);
    if (resident.role === 'home') this._homes--;
    if (resident.heapIndex !== -1) this.evictable[resident.role].remove(resident);
    this.countChild(resident.meta.parent, -1);
  }

  private countChild(parent: BlockKey | null, change: 1 | -1): void {
    if (parent === null) return;
    const count = (this.children.get(parent) ?? 0) + change;
    if (count === 0) this.children.delete(parent);
    else this.children.set(parent, count);
    const resident = this.blocks.get(parent);
    if (resident !== undefined) this.settle(resident);
  }

  /** Puts a block among the evictable or takes it out. */
  private settle(resident: Resident): void {
    const evictable = resident.pins === 0 && !this.children.has(resident.meta.key);
    if (evictable === (resident.heapIndex !== -1)) return;
    if (evictable) this.evictable[resident.role].add(resident);
    else this.evictable[resident.role].remove(resident);
  }
}

function usedBefore(a: Resident, b: Resident): boolean {
  return a.usedAt < b.usedAt;
}

function goesBefore(a: Resident, b: Resident): boolean {
  return a.role === b.role ? usedBefore(a, b) : a.role === 'guest';
}
