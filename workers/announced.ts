import type { BlockKey, SealedBlock, TierName } from '../src/core/block.js';
import type { LeaveReason } from './cache/tier.js';

/** The blocks that a worker has announced to others. */

/** `kept`: it had been here before, in another tier. */
export type BlockOrigin = 'computed' | 'fetched' | 'pushed' | 'kept';

/** What others want to know of the blocks of this worker. Called after the change. */
export interface StoreListener {
  /** A sequence of this worker can be given it from now on. */
  usable(key: BlockKey): void;
  /** It is here, in whatever tier, and can be given to others. */
  added(block: SealedBlock, origin: BlockOrigin): void;
  /** No tier has it any more. */
  removed(key: BlockKey, reason: LeaveReason): void;
  /** One tier has it no more. */
  left(tier: TierName, key: BlockKey, reason: LeaveReason): void;
}

/** The blocks that others were told of: those that at least one tier has. */
export class Announced {
  private readonly known = new Set<BlockKey>();
  private readonly listeners: Partial<StoreListener>[] = [];

  /** `isHere` says whether any tier has a block that can be given to others. */
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

  /** It was here before anybody listened. */
  found(key: BlockKey): void {
    this.known.add(key);
  }

  usable(key: BlockKey): void {
    for (const { usable } of this.listeners) usable?.(key);
  }

  /** A tier has it. */
  added(block: SealedBlock, origin: BlockOrigin): void {
    if (this.known.has(block.key)) return;
    this.known.add(block.key);
    for (const { added } of this.listeners) added?.(block, origin);
  }

  /** A tier has it no more. */
  left(tier: TierName, key: BlockKey, reason: LeaveReason): void {
    for (const { left } of this.listeners) left?.(tier, key, reason);
    if (this.isHere(key) || !this.known.delete(key)) return;
    for (const { removed } of this.listeners) removed?.(key, reason);
  }
}
