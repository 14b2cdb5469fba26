import { setImmediate as breath } from 'node:timers/promises';
import { IdleCondition } from '../../src/async/idle.js';
import type { BlockKey, PinnedBlock, SealedBlock } from '../../src/core/block.js';
import type { Tier } from './tier.js';

/** Copies blocks to the tier below before they are evicted from the tier above. */

/** Limit on the blocks that are copied to the tier below in advance, so that the search for them stays short. */
const DEMOTE_AHEAD_BLOCKS = 1024;
/** Limit on the bytes of the blocks that are copied to the tier below in advance. */
const DEMOTE_AHEAD_BYTES = 256 * 2 ** 20;
/** Share of a tier, taken from the blocks to be evicted next, that is copied to the tier below in advance, so that eviction is only a drop. @internal exported for tests. */
export const DEMOTE_AHEAD_SHARE = 1 / 8;

/** The tier that blocks are evicted from. */
export interface UpperTier {
  readonly blocks: number;
  /** As of now. */
  readonly capacityBlocks: number;
  has(key: BlockKey): boolean;
  /** The blocks in the order in which they would be evicted. To be read at once. */
  evictionOrder(): Iterable<SealedBlock>;
}

interface Due {
  readonly key: BlockKey;
  /** Even if the tier below has to evict a block for it. */
  readonly soon: boolean;
}

/** Blocks that one search gives. */
const BATCH_BLOCKS = 16;

/**
 * Copies blocks to the tier below ahead of their eviction, so that an eviction need not wait for a copy: all blocks while there is room below, else
 * the next candidates for eviction. Copies one block at a time, whenever blocks were added.
 */
export class Demoter {
  /** Blocks that the tier above has and the tier below lacks, in the order in which they came. */
  private readonly missing = new Set<BlockKey>();
  /** Blocks tried since the last addition: a block that the tier below evicts again at once is not copied again and again. */
  private tried = new Set<BlockKey>();
  private working = false;
  private again = false;
  private stopped = false;
  private readonly idleCondition = new IdleCondition(() => !this.working);

  /** `pin` pins a block's bytes in host memory; null if they cannot be had. It never rejects. */
  constructor(
    private readonly upper: UpperTier,
    private readonly pin: (key: BlockKey) => Promise<PinnedBlock | null>,
    private readonly lower: Tier,
    private readonly blockBytes: number,
  ) {}

  /** The tier above has a block that may be copied. */
  came(key: BlockKey): void {
    if (!this.lower.has(key)) this.missing.add(key);
    this.wake();
  }

  /** A block is not above any more, or is below. */
  forget(key: BlockKey): void {
    this.missing.delete(key);
  }

  /** A block is not below any more. */
  lost(key: BlockKey): void {
    if (this.upper.has(key)) this.missing.add(key);
  }

  /** Blocks may be evicted now that could not be before. */
  wake(): void {
    this.again = true;
    if (this.working || this.stopped) return;
    this.working = true;
    void this.work();
  }

  /** Resolves when no copy is outstanding. */
  idle(): Promise<void> {
    return this.idleCondition.wait();
  }

  /** Resolves when the last copy is done; no copy begins after the call. */
  stop(): Promise<void> {
    this.stopped = true;
    return this.idle();
  }

  private async work(): Promise<void> {
    while (this.again && !this.stopped) {
      this.again = false;
      this.tried = new Set();
      await breath();
      for (let batch = this.due(); batch.length > 0 && !this.stopped; batch = this.due()) {
        for (const { key, soon } of batch) {
          if (!soon && !this.lower.hasRoom) break;
          await this.copy(key);
        }
      }
    }
    this.working = false;
    this.idleCondition.notify();
  }

  /** The next blocks to copy: first the next candidates for eviction, then, while there is room below, the others. */
  private due(): Due[] {
    if (!this.lower.accepts) return [];
    const soon = this.soon();
    const due = soon.map((key): Due => ({ key, soon: true }));
    if (!this.lower.hasRoom) return due;
    for (const key of this.missing) {
      if (due.length === BATCH_BLOCKS) break;
      if (!this.tried.has(key) && !soon.includes(key)) due.push({ key, soon: false });
    }
    return due;
  }

  /** Looks at no more blocks than would be evicted soon: there may be very many others. */
  private soon(): BlockKey[] {
    const soon: BlockKey[] = [];
    let ranksLeft = this.missing.size > 0 ? this.soonBlocks() : 0;
    if (ranksLeft <= 0) return soon;
    for (const { key } of this.upper.evictionOrder()) {
      if (this.missing.has(key) && !this.tried.has(key)) soon.push(key);
      ranksLeft--;
      if (ranksLeft === 0 || soon.length === BATCH_BLOCKS) break;
    }
    return soon;
  }

  /** How many of the next victims should have a copy below, since the free memory above is not enough. */
  private soonBlocks(): number {
    const { capacityBlocks, blocks } = this.upper;
    const share = Math.ceil(DEMOTE_AHEAD_SHARE * capacityBlocks);
    const most = Math.min(DEMOTE_AHEAD_BLOCKS, Math.floor(DEMOTE_AHEAD_BYTES / this.blockBytes));
    const aheadBlocks = Math.max(1, Math.min(share, most));
    return aheadBlocks - Math.max(0, capacityBlocks - blocks);
  }

  private async copy(key: BlockKey): Promise<void> {
    this.tried.add(key);
    const pinned = await this.pin(key);
    if (pinned === null) return;
    try {
      // A reset while the block was read must not bring it back.
      if (this.missing.has(key)) await this.lower.put(pinned.block, pinned.bytes);
    } finally {
      pinned.unpin();
    }
    await breath();
  }
}
