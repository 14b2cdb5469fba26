import { Semaphore } from '../../src/async/semaphore.js';
import type { Clock } from '../../src/clock.js';
import type { BlockKey, BlockMeta, SealedBlock } from '../../src/core/block.js';
import {
  type FetchPart,
  type FetchPlan,
  type FetchPolicy,
  patienceMs,
  planFetch,
  worthWaiting,
} from '../../src/core/fetch-plan.js';
import type { Maker } from '../../src/core/maker.js';
import type { Reservation } from '../../src/core/reservation.js';
import type { PrefixRequest } from '../../src/engine/prefix-cache.js';
import { Cancelled, Overloaded, type ShoalError, Unavailable } from '../../src/errors.js';
import type { Roster } from '../../src/fleet/roster.js';
import type { FetchSink } from '../../src/peer/client/fetch-exchange.js';
import type { PeerClient } from '../../src/peer/client/peer-client.js';
import { NO_SPAN, type Span } from '../../src/trace/span.js';
import type { Hands } from '../audit/hands.js';
import type { Trust } from '../audit/trust.js';
import type { BlockStore } from '../cache/block-store.js';
import { FetchRates } from './fetch-rates.js';
import type { PrefixFetcher } from './prefix-loader.js';

/** Fetches blocks from peers by plan, and gives up what would take longer than computing. */

/** Parts of a plan that are fetched at a time: a later part is worth nothing without the earlier ones. */
const PARTS_AT_A_TIME = 4;

export interface PeerFetcherOptions {
  readonly self: string;
  readonly policy: FetchPolicy;
  readonly store: BlockStore;
  readonly peers: PeerClient;
  readonly roster: Roster;
  readonly clock: Clock;
  readonly replicas: number;
  readonly blockTokens: number;
  readonly blockBytes: number;
  readonly computeMsPerToken: () => number | null;
  readonly trust: Trust;
  readonly hands: Hands;
  /** A block of this peer has been kept. */
  readonly onKept: (peer: string, key: BlockKey) => void;
}

/** Fetches blocks from the peers that deliver them sooner than this worker computes them. */
export class PeerFetcher implements PrefixFetcher {
  readonly rates: FetchRates;
  /** Limits how many requests ask for blocks at a time, and for how many each, where memory for incoming blocks is scarce. */
  private readonly turns: Semaphore;
  private readonly turnBlocks: number;

  constructor(private readonly options: PeerFetcherOptions) {
    this.rates = new FetchRates(options.clock);
    const { takesAtOnce } = options.store;
    this.turns = new Semaphore(Math.min(PARTS_AT_A_TIME, takesAtOnce));
    this.turnBlocks = Math.max(1, Math.floor(takesAtOnce / PARTS_AT_A_TIME));
  }

  async fetch(wanted: readonly BlockMeta[], request: PrefixRequest, signal: AbortSignal): Promise<void> {
    const { self, policy, roster, replicas, blockTokens, blockBytes, computeMsPerToken, trust } = this.options;
    const plan = planFetch({
      policy,
      wanted,
      hints: request.sources,
      homesOf: (segment) => roster.ring.homes(segment, replicas),
      reachable: (worker) => {
        const member = worker === self ? null : roster.alive(worker);
        return member !== null && trust.trusts(member);
      },
      fetchBytesPerMs: (worker) => this.rates.of(worker),
      computeMsPerToken: computeMsPerToken(),
      blockTokens,
      blockBytes,
    });
    if (plan.parts.length === 0) return;
    const arrival = new Arrival(plan, blockBytes, this.options.clock, signal, request.span);
    try {
      await this.fetchParts(plan.parts, arrival);
    } finally {
      arrival.end();
    }
    if (signal.aborted) throw new Cancelled('the request was withdrawn while its prefix was fetched');
  }

  /** Fetches parts in order, up to the first that no peer has whole. */
  private async fetchParts(parts: readonly FetchPart[], arrival: Arrival): Promise<void> {
    /** Whether this part and all before it came. */
    const came: Promise<boolean>[] = [];
    for (const [index, part] of parts.entries()) {
      const begun = came[index - PARTS_AT_A_TIME] ?? Promise.resolve(true);
      const own = begun.then((worth) => worth && this.fetchPart(part, arrival));
      came.push(Promise.all([came.at(-1) ?? true, own]).then(([before, whole]) => before && whole));
    }
    await came.at(-1);
  }

  /** Asks one peer after another until no block is missing. False if a block could not be had. */
  private async fetchPart({ from, otherwise, blocks }: FetchPart, arrival: Arrival): Promise<boolean> {
    const { store } = this.options;
    for (const worker of [from, ...otherwise]) {
      const left = blocks.filter(({ key }) => !store.has(key) && !store.comes(key));
      if (left.length === 0 || arrival.signal.aborted) break;
      await this.ask(worker, left, arrival);
    }
    for (const { key } of blocks) if (store.comes(key)) await this.awaitPush(key, arrival);
    return blocks.every(({ key }) => store.has(key));
  }

  /** Waits for a block that a peer is pushing here, or that the device is taking, instead of asking for it a second time. */
  private async awaitPush(key: BlockKey, arrival: Arrival): Promise<void> {
    const { store } = this.options;
    await store.settled(key, arrival.signal).catch(() => {});
    if (store.has(key)) arrival.arrived(key);
  }

  private async ask(worker: string, blocks: readonly BlockMeta[], arrival: Arrival): Promise<void> {
    const { peers, roster, clock, blockBytes } = this.options;
    const target = roster.alive(worker);
    if (!target) return;
    const startedMs = clock.now();
    let arrivedBytes = 0;
    const sink = new StoreSink(this.options, target, blocks, {
      arrived: (key) => {
        arrivedBytes += blockBytes;
        arrival.arrived(key);
      },
      full: () => arrival.stop(new Overloaded('there is no room for the blocks of a peer')),
    });
    const came = { bytes: 0, ms: 0 };
    const wanted = { 'shoal.peer': worker, 'shoal.blocks.wanted': blocks.length };
    const span = arrival.span.child('shoal.fetch', wanted, 'client');
    const { traceparent } = span;
    let failure: unknown = null;
    try {
      for (let at = 0; at < blocks.length && !arrival.signal.aborted; at += this.turnBlocks) {
        const keys = blocks.slice(at, at + this.turnBlocks).map(({ key }) => key);
        const { bytes, ms, missing } = await this.inTurn(() =>
          peers.fetch(target, keys, sink, arrival.signal, traceparent),
        );
        came.bytes += bytes;
        came.ms += ms;
        if (missing !== null) break;
      }
      if (came.bytes > 0) this.rates.note(worker, came.bytes, came.ms);
    } catch (error) {
      failure = error;
      // The peer client counts the failure. Blocks that did not come are asked of the next peer, or computed.
      if (arrival.tooSlow) this.rates.note(worker, arrivedBytes, clock.now() - startedMs);
    } finally {
      span.set({ 'shoal.bytes': arrivedBytes, 'shoal.blocks': arrivedBytes / blockBytes });
      span.end(failure);
    }
  }

  private async inTurn<T>(fetch: () => Promise<T>): Promise<T> {
    if (this.turnBlocks === Number.POSITIVE_INFINITY) return fetch();
    await this.turns.acquire();
    try {
      return await fetch();
    } finally {
      this.turns.release();
    }
  }
}

/** Puts arriving blocks into the store. Of the peer's description of a block only digest and maker are taken; the rest is known here. */
class StoreSink implements FetchSink {
  private readonly wanted: ReadonlyMap<BlockKey, BlockMeta>;

  constructor(
    private readonly options: Pick<PeerFetcherOptions, 'store' | 'trust' | 'hands' | 'onKept'>,
    private readonly from: Maker,
    blocks: readonly BlockMeta[],
    private readonly on: { arrived(key: BlockKey): void; full(): void },
  ) {
    this.wanted = new Map(blocks.map((block) => [block.key, block]));
  }

  reserve({ key, digest, maker }: SealedBlock): Reservation<Uint8Array, Promise<void>> | null {
    const { store, trust, hands, onKept } = this.options;
    const block = { ...this.wanted.get(key)!, digest, maker };
    if (!trust.accepts(block)) return null;
    const reserved = store.reserveBytes(block, 'fetched');
    if (reserved === 'full') this.on.full();
    if (typeof reserved === 'string') return null;
    const commit = async () => {
      await reserved.commit();
      hands.fetched(block, this.from);
      onKept(this.from.id, key);
      this.on.arrived(key);
    };
    return { ...reserved, commit };
  }
}

/** Watches how fast a plan's blocks arrive, and gives the fetch up when computing the rest would be faster. */
class Arrival {
  tooSlow = false;
  private readonly keys = new Set<BlockKey>();
  private readonly given = new AbortController();
  private readonly startedMs: number;
  private readonly wantedBytes: number;
  private readonly watching: { cancel(): void };
  private readonly onAbort = () => this.given.abort(new Cancelled('the request was withdrawn'));

  constructor(
    private readonly plan: FetchPlan,
    private readonly blockBytes: number,
    private readonly clock: Clock,
    private readonly outer: AbortSignal,
    /** Of the look-up. */
    readonly span: Span = NO_SPAN,
  ) {
    this.startedMs = clock.now();
    this.wantedBytes = blockBytes * plan.parts.reduce((blocks, part) => blocks + part.blocks.length, 0);
    this.watching = clock.every(Math.max(1, patienceMs(plan)), () => this.judge());
    outer.addEventListener('abort', this.onAbort, { once: true });
    if (outer.aborted) this.onAbort();
  }

  get signal(): AbortSignal {
    return this.given.signal;
  }

  arrived(key: BlockKey): void {
    this.keys.add(key);
  }

  /** Gives up the blocks that are still to come. */
  stop(reason: ShoalError): void {
    this.given.abort(reason);
  }

  end(): void {
    this.watching.cancel();
    this.outer.removeEventListener('abort', this.onAbort);
  }

  private judge(): void {
    const { wantedBytes } = this;
    const arrivedBytes = this.blockBytes * this.keys.size;
    const elapsedMs = this.clock.now() - this.startedMs;
    if (this.signal.aborted || worthWaiting(this.plan, { elapsedMs, arrivedBytes, wantedBytes })) return;
    this.tooSlow = true;
    this.stop(new Unavailable('computing the blocks is faster than waiting for them'));
  }
}
