import type { BlockKey, BlockMeta, SealedBlock } from '../src/core/block.js';
import type { PrefixCache, PrefixRequest, PreparedPrefix, ReservedBlock } from '../src/engine/prefix-cache.js';
import type { BlockStore, BorrowedBlock } from './block-store.js';
import { Latch } from './latch.js';

/** Fetches the blocks `[0, n)` of `wanted` that somebody can give sooner than they are computed, in order. */
export interface PrefixFetcher {
  fetch(wanted: readonly BlockMeta[], request: PrefixRequest, signal: AbortSignal): Promise<void>;
}

/**
 * The worker's side of a look-up: blocks that are here, then blocks that another sequence of this worker is computing or fetching at the
 * moment (single flight: one load and one computation of a key at a time), then blocks of peers.
 */
export class PrefixLoader implements PrefixCache {
  /** Keys that a running prefill is going to seal, and keys that are being fetched; the latch opens at each change. */
  private readonly computing = new Map<BlockKey, Latch>();
  private readonly fetching = new Map<BlockKey, Latch>();

  constructor(
    private readonly store: BlockStore,
    private readonly fetcher: PrefixFetcher,
  ) {
    store.listen({ added: (block) => this.arrived(block), removed: () => {} });
  }

  async prepare(prefix: PrefixRequest, signal: AbortSignal): Promise<PreparedPrefix> {
    const held: BorrowedBlock[] = [];
    try {
      let fetchedAt = -1;
      for (;;) {
        this.borrowRun(prefix.blocks, held);
        const next = prefix.blocks[held.length];
        if (!next) break;
        const busy = this.computing.get(next.key) ?? this.fetching.get(next.key);
        if (busy) {
          await busy.wait(signal);
          continue;
        }
        // What nobody could give, or did not stay, is computed: a fetch that gained nothing is not tried again.
        if (fetchedAt === held.length) break;
        fetchedAt = held.length;
        await this.fetchRun(prefix, held.length, signal);
      }
    } catch (error) {
      for (const borrowed of held) borrowed.release();
      throw error;
    }
    return this.prepared(prefix.blocks, held);
  }

  reserve(block: BlockMeta): ReservedBlock | null {
    return this.store.reserve(block);
  }

  private borrowRun(blocks: readonly BlockMeta[], held: BorrowedBlock[]): void {
    for (let i = held.length; i < blocks.length; i++) {
      const borrowed = this.store.borrow(blocks[i]!.key);
      if (!borrowed) return;
      held.push(borrowed);
    }
  }

  private async fetchRun(prefix: PrefixRequest, from: number, signal: AbortSignal): Promise<void> {
    const wanted = prefix.blocks.slice(from).filter((block) => !this.store.has(block.key));
    const latches = new Map<BlockKey, Latch>();
    for (const { key } of wanted) {
      if (this.fetching.has(key) || this.computing.has(key)) break;
      const latch = new Latch();
      latches.set(key, latch);
      this.fetching.set(key, latch);
    }
    try {
      await this.fetcher.fetch(wanted.slice(0, latches.size), prefix, signal);
    } finally {
      for (const [key, latch] of latches) {
        this.fetching.delete(key);
        latch.open();
      }
    }
  }

  private prepared(blocks: readonly BlockMeta[], held: BorrowedBlock[]): PreparedPrefix {
    const remoteBlocks = held.filter((borrowed) => borrowed.foreign).length;
    const claimed = new Map<BlockKey, Latch>();
    return {
      blocks: held.map((borrowed) => borrowed.block),
      localBlocks: held.length - remoteBlocks,
      remoteBlocks,
      claim: () => {
        const next = blocks[held.length];
        if (next && (this.store.has(next.key) || this.computing.has(next.key) || this.fetching.has(next.key)))
          return false;
        for (const { sealed } of held) this.store.adopt(sealed.key);
        for (const { key } of blocks.slice(held.length)) {
          if (this.store.has(key) || this.computing.has(key)) continue;
          const latch = new Latch();
          claimed.set(key, latch);
          this.computing.set(key, latch);
        }
        return true;
      },
      release: () => {
        for (const borrowed of held) borrowed.release();
      },
      settle: () => {
        for (const [key, latch] of claimed) {
          if (this.computing.get(key) === latch) this.computing.delete(key);
          latch.open();
        }
        claimed.clear();
      },
    };
  }

  private arrived(block: SealedBlock): void {
    for (const flights of [this.computing, this.fetching]) {
      const latch = flights.get(block.key);
      flights.delete(block.key);
      latch?.open();
    }
  }
}
