import { OneTimeEvent } from '../../src/async/event.js';
import type { BlockKey, BlockMeta, TierName } from '../../src/core/block.js';
import type { Reservation } from '../../src/core/reservation.js';
import type { DeviceBlock } from '../../src/device/device.js';
import type { PrefixCache, PrefixRequest, PreparedPrefix } from '../../src/engine/prefix-cache.js';
import { Cancelled } from '../../src/errors.js';
import { NO_SPAN, type Span } from '../../src/trace/span.js';
import type { BlockStore } from '../cache/block-store.js';
import type { PinnedDeviceBlock } from '../cache/pinned-device-block.js';
import type { TracedBlocks } from '../replication/traced-blocks.js';
import type { FoundBlock } from '../worker-tally.js';

/** Looks up a prefix: on the device, in transit to it, in lower tiers, at peers. */

/** How many blocks a worker remembers that no prompt asks for before they are computed. */
const CONTENDED_KEYS = 4_096;

/** Fetches, in order, the blocks `[0, n)` of `wanted` that some peer delivers sooner than this worker computes them. */
export interface PrefixFetcher {
  fetch(wanted: readonly BlockMeta[], request: PrefixRequest, signal: AbortSignal): Promise<void>;
}

/** Brings blocks of lower tiers to the device. */
export interface PrefixPromoter {
  /** Whether a lower tier has the block, and delivers it sooner than this worker computes it. */
  worth(key: BlockKey): boolean;
  /** Brings, in order, the blocks `[0, n)` that are worth it. */
  promote(blocks: readonly BlockMeta[], signal: AbortSignal, span: Span): Promise<void>;
}

/**
 * The worker's side of a look-up: blocks on the device, then blocks that another sequence of this worker is computing or fetching at the
 * moment (single flight: one load and one computation of a key at a time), then blocks of lower tiers, then blocks of peers.
 */
export class PrefixLoader implements PrefixCache {
  /** Keys that a running prefill is going to commit, and keys that are being fetched; the event is set when that is over. */
  private readonly computing = new Map<BlockKey, OneTimeEvent>();
  private readonly fetching = new Map<BlockKey, OneTimeEvent>();
  /**
   * Keys that one sequence requested without success, and then could not claim because another sequence was requesting them again. No sequence requests
   * such a key until one computes it: otherwise two sequences could take turns and keep each other from computing (livelock).
   */
  private readonly contended = new Set<BlockKey>();

  constructor(
    private readonly store: BlockStore,
    private readonly fetcher: PrefixFetcher,
    private readonly promoter: PrefixPromoter,
    private readonly traced: TracedBlocks | null = null,
    /** A request has its prefix, of which these blocks were not on the device before. */
    private readonly onFound: (requestId: string, blocks: readonly FoundBlock[]) => void = () => {},
  ) {
    store.listen({ usable: (key) => this.arrived(key) });
  }

  async prepare(prefix: PrefixRequest, signal: AbortSignal): Promise<PreparedPrefix> {
    const pinned: PinnedDeviceBlock[] = [];
    /** Blocks requested from a lower tier, with that tier: if it failed to give them, peers are asked. */
    const tried = new Map<BlockKey, TierName | null>();
    try {
      // Blocks before this one were requested: the ones that were not found, or not kept, are computed.
      let asked = 0;
      for (;;) {
        this.pinRun(prefix.blocks, pinned);
        const next = prefix.blocks[pinned.length];
        if (!next) break;
        const busy = this.computing.get(next.key) ?? this.fetching.get(next.key);
        if (busy) {
          await busy.wait(signal);
          continue;
        }
        if (this.contended.has(next.key)) break;
        if (this.isBelow(next.key, tried)) {
          await this.promoteRun(prefix, pinned.length, tried, signal);
          asked = Math.min(asked, pinned.length);
          continue;
        }
        if (pinned.length < asked) break;
        asked = await this.fetchRun(prefix, pinned.length, tried, signal);
      }
    } catch (error) {
      for (const { unpin } of pinned) unpin();
      throw error;
    }
    const found = pinned.flatMap(({ foreign, meta: { key } }): FoundBlock[] => {
      const tier = tried.get(key) ?? null;
      return foreign ? [{ key, tier: null }] : tier === null ? [] : [{ key, tier }];
    });
    this.onFound(prefix.requestId, found);
    return this.prepared(prefix.blocks, pinned);
  }

  reserve(block: BlockMeta, trace: string | null = null): Reservation<DeviceBlock> | null {
    this.traced?.note(block.key, trace);
    return this.store.reserve(block);
  }

  private pinRun(blocks: readonly BlockMeta[], pinned: PinnedDeviceBlock[]): void {
    for (let i = pinned.length; i < blocks.length; i++) {
      const pin = this.store.pinOnDevice(blocks[i]!.key);
      if (!pin) return;
      pinned.push(pin);
    }
  }

  private isBelow(key: BlockKey, tried: ReadonlyMap<BlockKey, TierName | null>): boolean {
    return !tried.has(key) && this.promoter.worth(key);
  }

  /** Brings the run of blocks of lower tiers that begins at `from`. */
  private async promoteRun(
    { blocks, span = NO_SPAN }: PrefixRequest,
    from: number,
    tried: Map<BlockKey, TierName | null>,
    signal: AbortSignal,
  ): Promise<void> {
    const flights = new Map<BlockKey, OneTimeEvent>();
    const run: BlockMeta[] = [];
    for (const block of blocks.slice(from)) {
      if (this.isTaken(block.key) || !this.isBelow(block.key, tried)) break;
      run.push(block);
      begin(this.fetching, flights, block.key);
      tried.set(block.key, this.store.tierOf(block.key));
    }
    try {
      await this.promoter.promote(run, signal, span);
    } finally {
      end(this.fetching, flights);
    }
    if (signal.aborted) throw new Cancelled('the request was withdrawn while its prefix was brought to the device');
  }

  /**
   * Fetches the missing blocks from block `from` on, up to the first that is already in transit, without the blocks of lower tiers. Returns the index
   * of the block up to which it requested.
   */
  private async fetchRun(
    prefix: PrefixRequest,
    from: number,
    tried: ReadonlyMap<BlockKey, TierName | null>,
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

  private prepared(blocks: readonly BlockMeta[], pinned: PinnedDeviceBlock[]): PreparedPrefix {
    const remoteBlocks = pinned.filter(({ foreign }) => foreign).length;
    const claimed = new Map<BlockKey, OneTimeEvent>();
    return {
      blocks: pinned.map(({ block }) => block),
      localBlocks: pinned.length - remoteBlocks,
      remoteBlocks,
      claim: () => {
        const next = blocks[pinned.length];
        if (next && this.isRefused(next.key)) return false;
        for (const { meta } of pinned) this.store.adopt(meta.key);
        for (const { key } of blocks.slice(pinned.length)) {
          this.contended.delete(key);
          if (this.store.has(key) || this.computing.has(key)) continue;
          begin(this.computing, claimed, key);
        }
        return true;
      },
      unpin: () => {
        for (const { unpin } of pinned) unpin();
      },
      settle: () => end(this.computing, claimed),
    };
  }

  /** Whether another sequence fetches or computes the block, or the block must be computed, not fetched. */
  private isTaken(key: BlockKey): boolean {
    return this.fetching.has(key) || this.computing.has(key) || this.contended.has(key);
  }

  /** Whether another sequence has begun with the block since this one asked for it. */
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

/** Ends a sequence's own flights. A key that arrived and was lost again may be the flight of another sequence by now. */
function end(flights: Map<BlockKey, OneTimeEvent>, own: Map<BlockKey, OneTimeEvent>): void {
  for (const [key, event] of own) {
    if (flights.get(key) === event) flights.delete(key);
    event.set();
  }
  own.clear();
}
