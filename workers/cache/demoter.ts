import { setImmediate as breath } from 'node:timers/promises';
import { IdleCondition } from '../../src/async/idle.js';
import type { BlockKey, SealedBlock } from '../../src/core/block.js';
import { DEMOTE_AHEAD_BLOCKS, DEMOTE_AHEAD_BYTES, DEMOTE_AHEAD_SHARE } from '../../src/limits.js';
import type { PinnedBlock } from '../../src/peer/server/block-host.js';
import type { Tier } from './tier.js';

/** Copies blocks to the tier below before they are evicted from the tier above. */

/** The tier that blocks fall out of. */
export interface UpperTier {
  readonly blocks: number;
  /** As of now. */
  readonly capacityBlocks: number;
  has(key: BlockKey): boolean;
  /** In the order in which they would have to make room. To be read at once. */
  evictionOrder(): Iterable<SealedBlock>;
}

interface Due {
  readonly key: BlockKey;
  /** Even if the tier below has to drop something for it. */
  readonly soon: boolean;
}

/** Blocks that are looked for at a time. */
const BATCH_BLOCKS = 16;

/**
 * Copies blocks to the tier below before they have to make room, so that room is made at once: all of them while there is room below, else those
 * that would go next. One at a time, whenever blocks have come.
 */
export class Demoter {
  /** What the tier above has and the one below has not, the one that came first before the others. */
  private readonly missing = new Set<BlockKey>();
  /** What was tried since blocks came last: what the tier below dropped again at once is not copied again and again. */
  private tried = new Set<BlockKey>();
  private working = false;
  private again = false;
  private stopped = false;
  private readonly idleCondition = new IdleCondition(() => !this.working);

  /** `pin` pins a block's bytes in host memory; null if they are not to be had. It never rejects. */
  constructor(
    private readonly upper: UpperTier,
    private readonly pin: (key: BlockKey) => Promise<PinnedBlock | null>,
    private readonly lower: Tier,
    private readonly blockBytes: number,
  ) {}

  /** Says that the tier above has a block that may be copied. */
  came(key: BlockKey): void {
    if (!this.lower.has(key)) this.missing.add(key);
    this.wake();
  }

  /** Says that a block is not above any more, or is below. */
  forget(key: BlockKey): void {
    this.missing.delete(key);
  }

  /** Says that a block is not below any more. */
  lost(key: BlockKey): void {
    if (this.upper.has(key)) this.missing.add(key);
  }

  /** Says that blocks may go now that could not before. */
  wake(): void {
    this.again = true;
    if (this.working || this.stopped) return;
    this.working = true;
    void this.work();
  }

  /** Resolves when all is copied that is to be. */
  idle(): Promise<void> {
    return this.idleCondition.wait();
  }

  /** Nothing more is copied after that. */
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

  /** What is to be copied next: first what would go next, then, if there is room below, whatever else. */
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

  /** Looks only at as many blocks as go soon: there may be very many others. */
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

  /** How many of the blocks that go first are to have a copy below, since the room that is left is not enough. */
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
      // Not if all was forgotten while it was read: it would come back.
      if (this.missing.has(key)) await this.lower.put(pinned.block, pinned.bytes);
    } finally {
      pinned.unpin();
    }
    await breath();
  }
}
