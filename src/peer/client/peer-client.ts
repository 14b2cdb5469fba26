import { isDeepStrictEqual } from 'node:util';
import { type Clock, SystemClock } from '../../clock.js';
import type { BlockKey, SealedBlock } from '../../core/block.js';
import type { PeerAddress } from '../../core/member.js';
import { compareProcesses, type ProcessRank } from '../../core/rank.js';
import type { OpenSharedMemory } from '../../core/shared-memory-reader.js';
import { DeadlineExceeded, fromWire, Overloaded, Refused, type ShoalError, toWire, Unavailable } from '../../errors.js';
import {
  FLEET_WORKERS,
  HANDSHAKE_TIMEOUT_MS,
  PEER_KEYS_PER_REQUEST,
  PEER_OFFER_BLOCKS,
  PEER_PROGRESS_TIMEOUT_MS,
} from '../../limits.js';
import { type Random, SystemRandom } from '../../random.js';
import { type PeerObserver, SILENT } from '../observer.js';
import type { BlockHost } from '../server/block-host.js';
import type { PeerSummary } from '../server/compare-answer.js';
import { EndpointTurns } from '../wire/endpoint-turns.js';
import { ClientHandshake, NONCE_BYTES, type PeerIdentity } from '../wire/handshake.js';
import { type PeerNetwork, SOCKETS } from '../wire/network.js';
import { describe, type Endpoint, type SocketOptions } from '../wire/socket.js';
import { CompareExchange } from './compare-exchange.js';
import { FetchExchange, type Fetched, type FetchSink } from './fetch-exchange.js';
import { Link, type LinkState, PingExchange } from './link.js';
import { PushExchange } from './push-exchange.js';
import { PinExchange } from './shared-read.js';

/** Links to peers, and fetching, pushing, comparing and pinging over them. */

/** A worker to dial, in the incarnation that the caller knows. */
export interface PeerTarget extends ProcessRank {
  readonly id: string;
  readonly address: PeerAddress;
}

export interface FetchOutcome extends Fetched {
  readonly ms: number;
}

export interface PeerClientOptions extends SocketOptions {
  /** Default: sockets. */
  readonly network?: PeerNetwork;
  readonly identity: PeerIdentity;
  /** This process's host, as in `PeerAddress`. */
  readonly hostId: string;
  readonly secret: string;
  /** Bytes of every block, by the fleet's K/V layout. */
  readonly blockBytes: number;
  /** For peers on this host; without it, all blocks come through the socket. */
  readonly openMemory?: OpenSharedMemory | undefined;
  readonly observer?: PeerObserver;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly handshakeTimeoutMs?: number;
  readonly progressTimeoutMs?: number;
}

export interface LinkView {
  readonly id: string;
  readonly incarnation: string;
  /** Path of a Unix socket, or host and port. */
  readonly endpoint: string;
  readonly state: LinkState;
  readonly requestsInFlight: number;
}

interface Pooled {
  readonly target: PeerTarget;
  readonly endpoint: Endpoint;
  readonly link: Link;
}

type ClosedListener = (id: string, incarnation: string) => void;

/** Links to peers, one per peer, opened when first needed and reopened after a loss. */
export class PeerClient {
  private readonly pool = new Map<string, Pooled>();
  private readonly closedListeners: ClosedListener[] = [];
  private readonly observer: PeerObserver;
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly turns: EndpointTurns;
  private over = false;

  constructor(private readonly options: PeerClientOptions) {
    this.turns = new EndpointTurns(options.hostId);
    this.observer = options.observer ?? SILENT;
    this.clock = options.clock ?? new SystemClock();
    this.random = options.random ?? new SystemRandom();
  }

  /**
   * Fetches blocks in order, and stops at the first block that the peer does not have. Blocks that came before an error stay delivered.
   * Rejects with Unavailable if the link cannot be opened or breaks, Refused if the peer is another worker or has another secret or
   * fingerprint, Corrupt if bytes do not match their digest, Overloaded if too many requests are in flight, and with the reason of `signal` at
   * once: the reservation of a block that was arriving is aborted, perhaps later.
   * @param trace the `traceparent` that the peer gets
   */
  async fetch(
    to: PeerTarget,
    keys: readonly BlockKey[],
    sink: FetchSink,
    signal: AbortSignal,
    trace: string | null = null,
  ): Promise<FetchOutcome> {
    const startedMs = this.clock.now();
    let blocks = 0;
    let bytes = 0;
    let missing: BlockKey | null = null;
    for (let from = 0; from < keys.length && missing === null; from += PEER_KEYS_PER_REQUEST) {
      const some = keys.slice(from, from + PEER_KEYS_PER_REQUEST);
      const fetched = await this.counted(() => this.fetchSome(to, some, sink, signal, trace));
      blocks += fetched.blocks;
      bytes += fetched.bytes;
      missing = fetched.missing;
    }
    const ms = this.clock.now() - startedMs;
    if (blocks > 0) this.observer.onFetch(bytes, ms, 'in');
    return { blocks, bytes, ms, missing };
  }

  /** Opens the link to a peer, if it is not open. Rejects as `fetch` does. */
  async reach(to: PeerTarget, signal: AbortSignal): Promise<void> {
    await this.counted(async () => this.linkTo(to).whenOpen(signal));
  }

  /**
   * Offers blocks to a peer and sends those that it wants, which `pin` pins for as long as they are read. A block that cannot be pinned ends
   * the push. Gives the keys of those that the peer has now for certain. For a `repair` the peer evicts nothing. Rejects as `fetch` does.
   */
  async push(
    to: PeerTarget,
    blocks: readonly SealedBlock[],
    pin: BlockHost['pin'],
    signal: AbortSignal,
    type: 'offer' | 'repair' = 'offer',
  ): Promise<Set<BlockKey>> {
    const acknowledged = new Set<BlockKey>();
    for (let from = 0; from < blocks.length; from += PEER_OFFER_BLOCKS) {
      const offer = new PushExchange(
        blocks.slice(from, from + PEER_OFFER_BLOCKS),
        pin,
        this.options.blockBytes,
        this.clock,
        type,
      );
      for (const key of await this.counted(async () => this.linkTo(to).run(offer, signal))) acknowledged.add(key);
    }
    return acknowledged;
  }

  /**
   * Compares the summary of the blocks that this worker shares with a peer with the peer's own. Gives the buckets that differ, ascending; null if the
   * peer has another ring or no time. Rejects as `fetch` does.
   */
  async compare(to: PeerTarget, summary: PeerSummary, signal: AbortSignal): Promise<number[] | null> {
    return this.counted(async () => this.linkTo(to).run(new CompareExchange(summary), signal));
  }

  /** Pings a peer. Gives the milliseconds until its answer. Rejects as `fetch` does, and with DeadlineExceeded after `timeoutMs`. */
  async ping(to: PeerTarget, timeoutMs: number): Promise<number> {
    const startedMs = this.clock.now();
    const patience = new AbortController();
    const timer = this.clock.after(timeoutMs, () =>
      patience.abort(new DeadlineExceeded(`worker ${to.id} did not answer a ping within ${timeoutMs} ms`)),
    );
    try {
      await this.linkTo(to).run(new PingExchange(), patience.signal);
      return this.clock.now() - startedMs;
    } finally {
      timer.cancel();
    }
  }

  /** Calls back when an open link is lost, but not when this client closes it. */
  onLinkClosed(listener: ClosedListener): void {
    this.closedListeners.push(listener);
  }

  links(): LinkView[] {
    return [...this.pool.values()].map(({ target, endpoint, link }) => ({
      id: target.id,
      incarnation: target.incarnation,
      endpoint: describe(endpoint),
      state: link.state,
      requestsInFlight: link.requestsInFlight,
    }));
  }

  /** Closes all links. Requests in flight reject with Unavailable. */
  close(): void {
    this.over = true;
    for (const { target } of [...this.pool.values()]) this.drop(target.id, 'this process is closing');
  }

  /** Reads blocks out of the peer's shared memory where possible, and fetches the rest through the socket. */
  private async fetchSome(
    to: PeerTarget,
    keys: readonly BlockKey[],
    sink: FetchSink,
    signal: AbortSignal,
    trace: string | null,
  ): Promise<Fetched> {
    const { blockBytes } = this.options;
    const link = this.linkTo(to);
    // If the link did not open, `run` rejects with the reason.
    await link.whenOpen(signal).catch(() => {});
    const { memory } = link;
    const onDamaged = (block: BlockKey) => this.observer.onIntegrityFailure({ stage: 'fetch', peer: to.id, block });
    const fetch = (some: readonly BlockKey[]) =>
      link.run(new FetchExchange(some, sink, blockBytes, onDamaged, trace), signal);
    if (memory === null) return fetch(keys);
    const read = await link.run(new PinExchange(keys, sink, memory, blockBytes, onDamaged, trace), signal);
    if (read.unshared === 0) return read;
    const fetched = await fetch(keys.slice(keys.length - read.unshared));
    return {
      blocks: read.blocks + fetched.blocks,
      bytes: read.bytes + fetched.bytes,
      missing: fetched.missing,
    };
  }

  private linkTo(target: PeerTarget): Link {
    if (this.over) throw new Unavailable('cannot dial a peer: this process is closing');
    const { id, incarnation } = target;
    const known = this.pool.get(id);
    if (known) {
      if (compareProcesses(target, known.target) < 0) {
        throw new Refused(
          `cannot dial worker ${id} in incarnation ${incarnation}: it is in incarnation ${known.target.incarnation} now`,
        );
      }
      const same = incarnation === known.target.incarnation && isDeepStrictEqual(target.address, known.target.address);
      if (same && known.link.state !== 'closed') return known.link;
      this.drop(id, `worker ${id} has a new incarnation or address`);
    }
    if (this.pool.size >= FLEET_WORKERS)
      throw new Overloaded(`cannot dial worker ${id}: there are links to ${FLEET_WORKERS} peers; close one first`);
    return this.connect(target, this.turns.next(id, target.address));
  }

  private connect(target: PeerTarget, endpoint: Endpoint): Link {
    const { identity, secret, blockBytes, network = SOCKETS } = this.options;
    const link = new Link({
      open: (inlet) => network.dial(endpoint, inlet, this.options),
      handshake: new ClientHandshake(identity, target, 'blocks', secret, this.random.bytes(NONCE_BYTES)),
      blockBytes,
      openMemory: 'path' in endpoint ? this.options.openMemory : undefined,
      clock: this.clock,
      handshakeTimeoutMs: this.options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
      progressTimeoutMs: this.options.progressTimeoutMs ?? PEER_PROGRESS_TIMEOUT_MS,
      onClosed: (_, wasOpen) => {
        if (this.pool.get(target.id)?.link !== link) return;
        this.pool.delete(target.id);
        if (wasOpen) this.turns.forget(target.id);
        else this.turns.addFailure(target.id);
        if (!wasOpen) return;
        for (const listener of this.closedListeners) listener(target.id, target.incarnation);
      },
    });
    this.pool.set(target.id, { target, endpoint, link });
    return link;
  }

  private drop(id: string, why: string): void {
    const known = this.pool.get(id);
    this.pool.delete(id);
    known?.link.close(new Unavailable(why));
  }

  private async counted<T>(transfer: () => Promise<T>): Promise<T> {
    try {
      return await transfer();
    } catch (error) {
      const failure: ShoalError = fromWire(toWire(error));
      this.observer.onFailure(failure.code);
      throw failure;
    }
  }
}
