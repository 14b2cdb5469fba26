import type { BlockKey, SealedBlock, TierName } from '../src/core/block.js';
import type { LeaveReason } from './cache/tier.js';

/** The blocks that a worker has announced to others, and the listeners for changes of its blocks. */

/** How a worker got a block. `kept`: another tier of the worker already had it. */
export type BlockOrigin = 'computed' | 'fetched' | 'pushed' | 'kept';

/** Listens for changes of this worker's blocks. Each method is called after the change. */
export interface StoreListener {
  /** Sequences of this worker can use the block from now on. */
  usable(key: BlockKey): void;
  /** The first tier has the block, which peers can now fetch. */
  added(block: SealedBlock, origin: BlockOrigin): void;
  /** The last tier has lost the block. */
  removed(key: BlockKey, reason: LeaveReason): void;
  /** One tier has lost the block. */
  left(tier: TierName, key: BlockKey, reason: LeaveReason): void;
}

/** The blocks that this worker has announced to others: the ones that at least one tier has. */
export class Announced {
  private readonly known = new Set<BlockKey>();
  private readonly listeners: Partial<StoreListener>[] = [];

  /** `isHere` returns whether any tier has a copy of the block that peers can fetch. */
  constructor(private readonly isHere: (key: BlockKey) => boolean) {}

  get size(): number {
    return this.known.size;
  }

  keys(): IterableIterator<BlockKey> {
    return this.known.keys();
  }

  listen(listener: Partial<StoreListener>): void {
    this.listeners.push(listener);
  }

  /** Records a block that was found at start, before there were listeners. */
  found(key: BlockKey): void {
    this.known.add(key);
  }

  /** Reports that sequences of this worker can use a block. */
  usable(key: BlockKey): void {
    for (const { usable } of this.listeners) usable?.(key);
  }

  /** Reports that a tier has a block. Only the first such tier leads to `added`. */
  added(block: SealedBlock, origin: BlockOrigin): void {
    if (this.known.has(block.key)) return;
    this.known.add(block.key);
    for (const { added } of this.listeners) added?.(block, origin);
  }

  /** Reports that a tier has lost a block. Only the last such tier leads to `removed`. */
  left(tier: TierName, key: BlockKey, reason: LeaveReason): void {
    for (const { left } of this.listeners) left?.(tier, key, reason);
    if (this.isHere(key) || !this.known.delete(key)) return;
    for (const { removed } of this.listeners) removed?.(key, reason);
  }
}
