import { OneTimeEvent } from '../../src/async/event.js';
import type { BlockKey, BlockMeta } from '../../src/core/block.js';
import type { PrefixCache, PrefixRequest, PreparedPrefix, ReservedBlock } from '../../src/engine/prefix-cache.js';
import { Cancelled } from '../../src/errors.js';
import type { BlockStore, BorrowedBlock } from '../cache/block-store.js';

/** Blocks of which a worker remembers that nobody is to ask for them before they are computed. */
const CONTENDED_KEYS = 4_096;

/** Fetches the blocks `[0, n)` of `wanted` that somebody can give sooner than they are computed, in order. */
export interface PrefixFetcher {
  fetch(wanted: readonly BlockMeta[], request: PrefixRequest, signal: AbortSignal): Promise<void>;
}

/** Brings blocks of lower tiers to the device. */
export interface PrefixPromoter {
  /** Whether a lower tier has the block, and gives it sooner than it is computed. */
  worth(key: BlockKey): boolean;
  /** Brings the blocks `[0, n)` that can be had so, in order. */
  promote(blocks: readonly BlockMeta[], signal: AbortSignal): Promise<void>;
}

/**
 * The worker's side of a look-up: blocks on the device, then blocks that another sequence of this worker is computing or fetching at the
 * moment (single flight: one load and one computation of a key at a time), then blocks of lower tiers, then blocks of peers.
 */
export class PrefixLoader implements PrefixCache {
  /** Keys that a running prefill is going to seal, and keys that are being fetched; the event opens at each change. */
  private readonly computing = new Map<BlockKey, OneTimeEvent>();
  private readonly fetching = new Map<BlockKey, OneTimeEvent>();
  /**
   * Keys that somebody had asked for in vain, and was then kept from computing because another was asking again. Nobody asks any more until one
   * computes them: else two that take turns in asking would keep each other from computing for ever.
   */
  private readonly contended = new Set<BlockKey>();

  constructor(
    private readonly store: BlockStore,
    private readonly fetcher: PrefixFetcher,
    private readonly promoter: PrefixPromoter,
  ) {
    store.listen({ usable: (key) => this.arrived(key) });
  }

  async prepare(prefix: PrefixRequest, signal: AbortSignal): Promise<PreparedPrefix> {
    const held: BorrowedBlock[] = [];
    try {
      // Blocks before this one were asked for: what nobody could give, or did not stay, is computed.
      let asked = 0;
      /** Blocks that a lower tier was asked for: what it did not give, peers may. */
      const tried = new Set<BlockKey>();
      for (;;) {
        this.borrowRun(prefix.blocks, held);
        const next = prefix.blocks[held.length];
        if (!next) break;
        const busy = this.computing.get(next.key) ?? this.fetching.get(next.key);
        if (busy) {
          await busy.wait(signal);
          continue;
        }
        if (this.contended.has(next.key)) break;
        if (this.isBelow(next.key, tried)) {
          await this.promoteRun(prefix.blocks, held.length, tried, signal);
          asked = Math.min(asked, held.length);
          continue;
        }
        if (held.length < asked) break;
        asked = await this.fetchRun(prefix, held.length, tried, signal);
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

  private isBelow(key: BlockKey, tried: ReadonlySet<BlockKey>): boolean {
    return !tried.has(key) && this.promoter.worth(key);
  }

  /** Brings the run of blocks of lower tiers that begins at `from`. */
  private async promoteRun(
    blocks: readonly BlockMeta[],
    from: number,
    tried: Set<BlockKey>,
    signal: AbortSignal,
  ): Promise<void> {
    const flights = new Map<BlockKey, OneTimeEvent>();
    const run: BlockMeta[] = [];
    for (const block of blocks.slice(from)) {
      if (this.isTaken(block.key) || !this.isBelow(block.key, tried)) break;
      run.push(block);
      begin(this.fetching, flights, block.key);
      tried.add(block.key);
    }
    try {
      await this.promoter.promote(run, signal);
    } finally {
      end(this.fetching, flights);
    }
    if (signal.aborted) throw new Cancelled('the request was withdrawn while its prefix was brought to the device');
  }

  /**
   * Fetches what is not here from block `from` on, up to the first that is on its way already; what a lower tier has is left to that. Gives the
   * block up to which it asked.
   */
  private async fetchRun(
    prefix: PrefixRequest,
    from: number,
    tried: ReadonlySet<BlockKey>,
    signal: AbortSignal,
  ): Promise<number> {
    const { blocks } = prefix;
    const flights = new Map<BlockKey, OneTimeEvent>();
    const wanted: BlockMeta[] = [];
    let to = from;
    for (; to < blocks.length; to++) {
      const block = blocks[to]!;
      if (this.store.has(block.key) || this.isBelow(block.key, tried)) continue;
      if (this.isTaken(block.key)) break;
      wanted.push(block);
      begin(this.fetching, flights, block.key);
    }
    try {
      await this.fetcher.fetch(wanted, prefix, signal);
      return to;
    } finally {
      end(this.fetching, flights);
    }
  }

  private prepared(blocks: readonly BlockMeta[], held: BorrowedBlock[]): PreparedPrefix {
    const remoteBlocks = held.filter((borrowed) => borrowed.foreign).length;
    const claimed = new Map<BlockKey, OneTimeEvent>();
    return {
      blocks: held.map((borrowed) => borrowed.block),
      localBlocks: held.length - remoteBlocks,
      remoteBlocks,
      claim: () => {
        const next = blocks[held.length];
        if (next && this.isRefused(next.key)) return false;
        for (const { meta } of held) this.store.adopt(meta.key);
        for (const { key } of blocks.slice(held.length)) {
          this.contended.delete(key);
          if (this.store.has(key) || this.computing.has(key)) continue;
          begin(this.computing, claimed, key);
        }
        return true;
      },
      release: () => {
        for (const borrowed of held) borrowed.release();
      },
      settle: () => end(this.computing, claimed),
    };
  }

  /** Whether a block is on its way by another, or is to be computed and not to be asked for. */
  private isTaken(key: BlockKey): boolean {
    return this.fetching.has(key) || this.computing.has(key) || this.contended.has(key);
  }

  /** Whether somebody else has begun with the block since it was asked for. */
  private isRefused(key: BlockKey): boolean {
    if (this.store.has(key) || this.computing.has(key)) return true;
    if (!this.fetching.has(key)) return false;
    if (this.contended.size >= CONTENDED_KEYS) this.contended.clear();
    this.contended.add(key);
    return true;
  }

  private arrived(key: BlockKey): void {
    this.contended.delete(key);
    for (const flights of [this.computing, this.fetching]) {
      const event = flights.get(key);
      flights.delete(key);
      event?.set();
    }
  }
}

function begin(flights: Map<BlockKey, OneTimeEvent>, own: Map<BlockKey, OneTimeEvent>, key: BlockKey): void {
  const event = new OneTimeEvent();
  own.set(key, event);
  flights.set(key, event);
}

/** Ends one's own flights. A key that arrived, and was lost again, may be another's flight by now. */
function end(flights: Map<BlockKey, OneTimeEvent>, own: Map<BlockKey, OneTimeEvent>): void {
  for (const [key, event] of own) {
    if (flights.get(key) === event) flights.delete(key);
    event.set();
  }
  own.clear();
}
