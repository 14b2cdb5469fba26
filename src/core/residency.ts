import { InternalError } from '../errors.js';
import type { BlockKey, BlockMeta, BlockRole } from './block.js';
import { Heap, type HeapItem } from './heap.js';

/** The blocks that one tier holds, and which of them is evicted next. */

/**
 * How much longer a reused block stays than one that came once, in turnovers: as many uses as the tier has memory for blocks. Chosen by `shoal bench
 * replay`: more makes floods hurt less, but keeps blocks that are no longer popular.
 */
const REUSE_TURNOVERS = 1.5;

/** A block that stays in its memory until `unpin`. */
export interface Pin<T> {
  readonly value: T;
  /** Idempotent. */
  unpin(): void;
}

interface Resident<T> extends HeapItem {
  readonly meta: BlockMeta;
  readonly value: T;
  role: BlockRole;
  pins: number;
  usedAt: number;
  /** Whether the block was used since it came, or was evicted not long before it came. */
  reused: boolean;
  /** Whether another worker has read the block since its last use here. */
  handedOn: boolean;
  /** The time at which the block is evicted, if no other is before it: orders all that may be evicted. */
  worth: number;
  /** Removed from the tier: its memory waits for the last pin. */
  removed: boolean;
}

type Worth = Pick<Resident<unknown>, 'worth' | 'usedAt'>;

/** A resident in a simulated eviction. */
interface Going<T> extends HeapItem {
  readonly resident: Resident<T>;
  /** Other evictable residents, after this one. */
  readonly rest: Iterator<Resident<T>> | null;
}

/**
 * The blocks of one tier: their pins, roles, parents and recency, within a hard budget, and which of them is evicted next. `T` is the tier's record
 * of a block. All blocks of a fleet have the same size, so the budget is a number of blocks.
 *
 * Guests are evicted before homes, a block only when none of its children is resident, the one of least worth first, a pinned or retained block
 * never. A block is worth its last use, and a reused block counts as used `REUSE_TURNOVERS` turnovers of the tier later: a flood of prompts that come once
 * thus evicts itself, not shared prompts (the small queue and the ghosts of S3-FIFO, J. Yang et al., 2023, as one order; a parent is used when its children
 * are). All blocks have the same size, and cost about the same to compute, so neither is part of the worth. All operations on one block are O(log n). A block may be resident without its parent, since the ring spreads the segments of a prompt; such an
 * orphan is evicted like any other block.
 */
export class Residency<T> {
  private readonly residents = new Map<BlockKey, Resident<T>>();
  /** Resident children by parent, whether the parent is resident or not. */
  private readonly children = new Map<BlockKey, number>();
  /** Residents without pins or children, by role. */
  private readonly evictable: Record<BlockRole, Heap<Resident<T>>> = {
    guest: new Heap<Resident<T>>(worthLess),
    home: new Heap<Resident<T>>(worthLess),
  };
  /** Blocks that are never evicted, resident or not. */
  private retained: ReadonlySet<BlockKey> = new Set();
  /** Keys of as many evicted blocks as the tier has memory for, oldest first. */
  private readonly ghosts = new Set<BlockKey>();
  /** Counts uses; stands in for a clock. */
  private uses = 0;
  private openPins = 0;

  /** `free` is called when a removed block has no pin any more: its memory may be reused. */
  constructor(
    private readonly budgetBlocks: number,
    private readonly free: (value: T) => void,
  ) {}

  get size(): number {
    return this.residents.size;
  }

  /** Pins that are open, on residents and on removed blocks. */
  get pins(): number {
    return this.openPins;
  }

  has(key: BlockKey): boolean {
    return this.residents.has(key);
  }

  get(key: BlockKey): T | null {
    return this.residents.get(key)?.value ?? null;
  }

  keys(): IterableIterator<BlockKey> {
    return this.residents.keys();
  }

  /** Adds a block as the most recently used. Throws `InternalError` if it is resident, or if no room was made for it by `evict`. */
  insert(meta: BlockMeta, role: BlockRole, value: T): void {
    const { key, parent } = meta;
    if (this.residents.has(key)) throw new InternalError(`cannot add block ${key} to its tier: it is resident`);
    if (this.residents.size >= this.budgetBlocks) {
      throw new InternalError(
        `cannot add block ${key} to its tier: the budget of ${this.budgetBlocks} blocks is used up`,
      );
    }
    const reused = this.ghosts.delete(key);
    const state = { usedAt: ++this.uses, reused, handedOn: false, worth: 0, pins: 0, removed: false, heapIndex: -1 };
    const resident: Resident<T> = { meta, value, role, ...state };
    this.rate(resident);
    this.residents.set(key, resident);
    if (parent !== null) this.countChild(parent, 1);
    this.settle(resident);
  }

  /** Counts a use of the block, if it is resident. */
  touch(key: BlockKey): void {
    const resident = this.residents.get(key);
    if (resident === undefined) return;
    resident.usedAt = ++this.uses;
    resident.reused = true;
    resident.handedOn = false;
    this.rate(resident);
  }

  /**
   * Another worker has read the block, and uses it from now on. A guest is worth little after that, until it is used here again: two copies of a block
   * cost the fleet another block. A home stays as it is.
   */
  handOn(key: BlockKey): void {
    const resident = this.residents.get(key);
    if (resident === undefined) return;
    resident.handedOn = true;
    this.rate(resident);
  }

  /** Adds a reference to the block; null if it is not resident. */
  pin(key: BlockKey): Pin<T> | null {
    const resident = this.residents.get(key);
    if (resident === undefined) return null;
    resident.pins++;
    this.openPins++;
    if (resident.pins === 1) this.settle(resident);
    let open = true;
    const unpin = () => {
      if (!open) return;
      open = false;
      this.unpin(resident);
    };
    return { value: resident.value, unpin };
  }

  /** Never evicts the blocks with these keys, those to come included, until the next call. */
  retain(keys: ReadonlySet<BlockKey>): void {
    const before = this.retained;
    this.retained = keys;
    for (const changed of [before, keys]) {
      for (const key of changed) {
        const resident = this.residents.get(key);
        if (resident !== undefined) this.settle(resident);
      }
    }
  }

  retains(key: BlockKey): boolean {
    return this.retained.has(key);
  }

  /** Removes the next block in the order of eviction, but never `spared`. The caller frees its memory. Null if no block may go. */
  evict(spared: BlockKey | null): T | null {
    const victim = this.victim(spared);
    if (victim === null) return null;
    this.take(victim);
    this.remember(victim.meta.key);
    return victim.value;
  }

  /** Removes a block for another reason than room, pinned or not. False if the block was not resident. */
  remove(key: BlockKey): boolean {
    const resident = this.residents.get(key);
    if (resident === undefined) return false;
    this.take(resident);
    if (resident.pins === 0) this.free(resident.value);
    return true;
  }

  /** Removes all blocks, pinned or not; gives their keys in the order in which they came. */
  clear(): BlockKey[] {
    const removed = [...this.residents.values()];
    this.residents.clear();
    this.children.clear();
    this.ghosts.clear();
    for (const heap of Object.values(this.evictable)) heap.clear();
    for (const resident of removed) {
      resident.removed = true;
      if (resident.pins === 0) this.free(resident.value);
    }
    return removed.map(({ meta }) => meta.key);
  }

  /** Gives each block the role that the changed ring has for it. */
  reassign(roleOf: (block: BlockMeta) => BlockRole): void {
    for (const resident of this.residents.values()) {
      const role = roleOf(resident.meta);
      if (role === resident.role) continue;
      if (resident.heapIndex !== -1) this.evictable[resident.role].remove(resident);
      resident.role = role;
      this.rate(resident);
      this.settle(resident);
    }
  }

  /**
   * The evictable blocks in the order in which they would be evicted one after another. Read it at once: a change of the
   * residency invalidates the order. The first k blocks cost O(k log k), independent of their total number.
   */
  *evictionOrder(): Generator<T> {
    const going = new Heap<Going<T>>((a, b) => goesBefore(a.resident, b.resident));
    const addFirst = (rest: Iterator<Resident<T>>) => {
      const { value, done } = rest.next();
      if (!done) going.add({ resident: value, rest, heapIndex: -1 });
    };
    for (const heap of Object.values(this.evictable)) addFirst(heap.inOrder());
    /** Children that would be left. */
    const left = new Map<BlockKey, number>();
    for (let next = going.first(); next !== undefined; next = going.first()) {
      going.remove(next);
      if (next.rest !== null) addFirst(next.rest);
      const { meta, value } = next.resident;
      yield value;
      const parent = meta.parent === null ? undefined : this.residents.get(meta.parent);
      if (parent === undefined) continue;
      const children = (left.get(parent.meta.key) ?? this.children.get(parent.meta.key)!) - 1;
      left.set(parent.meta.key, children);
      if (children === 0 && parent.pins === 0 && !this.retains(parent.meta.key))
        going.add({ resident: parent, rest: null, heapIndex: -1 });
    }
  }

  private victim(spared: BlockKey | null): Resident<T> | null {
    const { guest, home } = this.evictable;
    for (const heap of [guest, home]) {
      const first = heap.first();
      if (first === undefined) continue;
      if (first.meta.key !== spared) return first;
      // The heap knows only its first item: the second is the first without it.
      heap.remove(first);
      const second = heap.first();
      heap.add(first);
      if (second !== undefined) return second;
    }
    return null;
  }

  private rate(resident: Resident<T>): void {
    const { usedAt, reused, handedOn, role } = resident;
    const turnovers = handedOn && role === 'guest' ? -1 : reused ? REUSE_TURNOVERS : 0;
    resident.worth = usedAt + turnovers * this.budgetBlocks;
    if (resident.heapIndex !== -1) this.evictable[role].moved(resident);
  }

  private remember(key: BlockKey): void {
    this.ghosts.add(key);
    if (this.ghosts.size > this.budgetBlocks) this.ghosts.delete(this.ghosts.values().next().value!);
  }

  private unpin(resident: Resident<T>): void {
    resident.pins--;
    this.openPins--;
    if (resident.pins > 0) return;
    if (resident.removed) this.free(resident.value);
    else this.settle(resident);
  }

  private take(resident: Resident<T>): void {
    const { key, parent } = resident.meta;
    resident.removed = true;
    this.residents.delete(key);
    if (resident.heapIndex !== -1) this.evictable[resident.role].remove(resident);
    if (parent !== null) this.countChild(parent, -1);
  }

  private countChild(parent: BlockKey, change: 1 | -1): void {
    const count = (this.children.get(parent) ?? 0) + change;
    if (count === 0) this.children.delete(parent);
    else this.children.set(parent, count);
    const resident = this.residents.get(parent);
    if (resident !== undefined) this.settle(resident);
  }

  /** Puts a resident among the evictable ones or takes it out. */
  private settle(resident: Resident<T>): void {
    const { key } = resident.meta;
    const evictable = resident.pins === 0 && !this.children.has(key) && !this.retained.has(key);
    if (evictable === (resident.heapIndex !== -1)) return;
    if (evictable) this.evictable[resident.role].add(resident);
    else this.evictable[resident.role].remove(resident);
  }
}

function worthLess(a: Worth, b: Worth): boolean {
  return a.worth < b.worth || (a.worth === b.worth && a.usedAt < b.usedAt);
}

function goesBefore<T>(a: Resident<T>, b: Resident<T>): boolean {
  return a.role === b.role ? worthLess(a, b) : a.role === 'guest';
}
