import { chmod } from 'node:fs/promises';
import { Deferred } from '../../async/deferred.js';
import { type Clock, SystemClock } from '../../clock.js';
import { Overloaded, Refused, type ShoalError, Unavailable } from '../../errors.js';
import { HANDSHAKE_TIMEOUT_MS, PEER_PROGRESS_TIMEOUT_MS } from '../../limits.js';
import { connectionLimit } from '../../open-files.js';
import { type Random, SystemRandom } from '../../random.js';
import type { Tracer } from '../../trace/span.js';
import { type PeerObserver, SILENT } from '../observer.js';
import type { Connection } from '../wire/connection.js';
import { greetClient, type OpenSession } from '../wire/greeting.js';
import { NONCE_BYTES, type PeerIdentity, type Purpose, ServerHandshake } from '../wire/handshake.js';
import { type DialledSocket, type PeerListener, type PeerNetwork, SOCKETS } from '../wire/network.js';
import type { Endpoint, SocketOptions } from '../wire/socket.js';
import { type StrangerLimits, Strangers } from '../wire/strangers.js';
import type { BlockHost } from './block-host.js';
import type { Comparer } from './compare-answer.js';
import { OfferMemory } from './offer-memory.js';
import type { PeerRole } from './peer-role.js';
import { PeerSession, type PeerSessionOptions } from './session.js';
import { SocketPath } from './socket-path.js';

/** Listens for peers, and chooses by the purpose of each connection what serves it. */

/** Limit on all connections of peers, where the limit on open files allows that many. */
const PEER_CONNECTIONS = 1024;
/** Limits on those that have proved nothing. Members of a large fleet may all dial at once from few addresses. */
const STRANGERS: StrangerLimits = { connections: 128, perAddress: 64, perSecond: 256, burst: 1024 };
/**
 * Limits on the blocks that a worker reserves memory for before they arrive: for one peer, and for all. A peer has a few offers open at a time.
 * @internal exported for tests.
 */
export const PEER_BLOCKS_RESERVED = 64;
const PEERS_BLOCKS_RESERVED = 512;

export interface PeerServerOptions extends SocketOptions {
  /** Default: sockets. */
  readonly network?: PeerNetwork;
  readonly identity: PeerIdentity;
  readonly secret: string;
  /** Null: this process has no blocks, and refuses connections for them. */
  readonly host: BlockHost | null;
  /** What a peer is now, in this incarnation: a stranger gets no blocks and pushes none. */
  readonly roleOf: (peer: PeerIdentity) => PeerRole;
  /** Serves connections with the purpose `calls`; without it, this server refuses them. */
  readonly onCalls?: OpenSession | undefined;
  /** Serves connections with the purpose `objects`; without it, this server refuses them. */
  readonly onObjects?: OpenSession | undefined;
  /** Serves connections with the purpose `models`; without it, this server refuses them. */
  readonly onModels?: OpenSession | undefined;
  /** Compares summaries of peers; without it, this server has no time for them. */
  readonly comparer?: Comparer | undefined;
  /** Bytes of every block, by the fleet's K/V layout. */
  readonly blockBytes: number;
  readonly observer?: PeerObserver;
  /** Records answers to requests that belong to traces. Default: nothing is recorded. */
  readonly tracer?: Tracer | undefined;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly connections?: number;
  readonly strangers?: StrangerLimits;
  readonly handshakeTimeoutMs?: number;
  readonly progressTimeoutMs?: number;
}

export interface ListenOptions {
  /** Path of the Unix socket. A socket that an ended process left there is replaced. */
  readonly unixPath?: string | null;
  readonly tcpHost?: string | null;
  /** 0 for any free port. */
  readonly tcpPort?: number | null;
}

export interface PeerAddresses {
  readonly unixPath: string | null;
  readonly tcpHost: string | null;
  readonly tcpPort: number | null;
}

type ClosedListener = (id: string, incarnation: string) => void;

/** Listens for peers: gives them blocks of this worker, takes blocks that they push, and leaves calls and objects to others. */
export class PeerServer {
  private readonly listeners: PeerListener[] = [];
  private readonly socketPaths: SocketPath[] = [];
  private readonly open = new Set<Connection>();
  private readonly closedListeners: ClosedListener[] = [];
  private readonly observer: PeerObserver;
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly emptied = new Deferred<void>();
  private readonly sessionOptions: PeerSessionOptions | null;
  private readonly limit: number;
  private readonly strangers: Strangers;
  /** Connections whose peers have proved themselves. */
  private proved = 0;
  private over = false;

  constructor(private readonly options: PeerServerOptions) {
    const places = connectionLimit(PEER_CONNECTIONS);
    const strangers = options.strangers ?? fewer(STRANGERS, Math.ceil(places / 4));
    this.strangers = new Strangers(strangers);
    this.limit = options.connections ?? places - strangers.connections;
    this.observer = options.observer ?? SILENT;
    this.clock = options.clock ?? new SystemClock();
    this.random = options.random ?? new SystemRandom();
    const { host, blockBytes, roleOf, tracer, comparer = async () => null } = options;
    const offers = new OfferMemory(PEER_BLOCKS_RESERVED, PEERS_BLOCKS_RESERVED);
    const { clock, observer } = this;
    this.sessionOptions = host && { host, roleOf, comparer, blockBytes, offers, clock, observer, tracer };
  }

  /**
   * Begins to listen, on a Unix socket, on TCP, or both.
   * @throws Refused if another process has the Unix socket, InvalidRequest or Unavailable if it cannot listen on an address
   */
  async listen(at: ListenOptions): Promise<PeerAddresses> {
    const unixPath = at.unixPath ?? null;
    const tcpHost = at.tcpHost ?? null;
    if (unixPath !== null) {
      const owner = `worker ${this.options.identity.id} (process ${process.pid})`;
      this.socketPaths.push(await SocketPath.claim(unixPath, owner));
      await this.bind({ path: unixPath });
      await chmod(unixPath, 0o600);
    }
    if (tcpHost === null) return { unixPath, tcpHost: null, tcpPort: null };
    const { port } = await this.bind({ host: tcpHost, port: at.tcpPort ?? 0 });
    return { unixPath, tcpHost, tcpPort: port };
  }

  /** Open connections, before and after the handshake. */
  get connections(): number {
    return this.open.size;
  }

  /** Calls back when a connection is lost after its handshake, but not when this server closes it. */
  onLinkClosed(listener: ClosedListener): void {
    this.closedListeners.push(listener);
  }

  /** Stops listening and closes all connections. Resolves when no memory is read or written for them any more. */
  async close(): Promise<void> {
    this.over = true;
    const closed = this.listeners.map((listening) => listening.close());
    for (const connection of this.open) connection.close(new Unavailable('this worker is closing'));
    if (this.open.size > 0) await this.emptied.promise;
    await Promise.all(closed);
    await Promise.all(this.socketPaths.splice(0).map((path) => path.release()));
  }

  private async bind(at: Endpoint): Promise<PeerListener> {
    const { network = SOCKETS } = this.options;
    const listening = await network.listen(at, this.options, {
      enter: (address, evict) => this.enter(address, evict),
      accept: (dialled) => this.accept(dialled),
    });
    this.listeners.push(listening);
    return listening;
  }

  private enter(address: string, evict: () => void): (() => void) | null {
    const leave = this.over ? null : this.strangers.enter(address, this.clock.now(), evict);
    if (leave === null) this.observer.onFailure(new Overloaded('').code);
    return leave;
  }

  private accept(dialled: DialledSocket): void {
    const evict = () => connection.close(new Overloaded('too many connections of peers that have proved nothing'));
    const leave = this.enter(dialled.address, evict);
    if (leave === null) {
      dialled.refuse();
      return;
    }
    const { identity, secret } = this.options;
    const connection: Connection = greetClient({
      open: (inlet) => dialled.open(inlet),
      handshake: new ServerHandshake(identity, secret, this.random.bytes(NONCE_BYTES)),
      clock: this.clock,
      handshakeTimeoutMs: this.options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
      progressTimeoutMs: this.options.progressTimeoutMs ?? PEER_PROGRESS_TIMEOUT_MS,
      sessionFor: (purpose) => this.sessionFor(purpose, leave),
      onClosed: (reason) => {
        leave();
        this.closed(connection, reason);
      },
    });
    this.open.add(connection);
  }

  /** The peer has proved itself: from now on its connection counts among those of members. */
  private sessionFor(purpose: Purpose, leave: () => void): OpenSession {
    const open = this.opens(purpose);
    if (this.proved >= this.limit) {
      throw new Overloaded(`this worker has ${this.limit} connections of peers; close one first`);
    }
    leave();
    return (connection, peer) => {
      const owner = open(connection, peer);
      this.proved++;
      return owner;
    };
  }

  private opens(purpose: Purpose): OpenSession {
    const { sessionOptions } = this;
    if (purpose === 'blocks') {
      if (!sessionOptions) throw new Refused('this process has no blocks');
      return (connection) => new PeerSession(connection, sessionOptions);
    }
    const { onCalls, onObjects, onModels } = this.options;
    if (purpose === 'models') {
      if (!onModels) throw new Refused('this worker shares no files of its model');
      return onModels;
    }
    if (purpose === 'objects') {
      if (!onObjects) throw new Refused('this worker has no objects');
      return onObjects;
    }
    if (!onCalls) throw new Refused('this worker takes no calls over this connection');
    return onCalls;
  }

  private closed(connection: Connection, reason: ShoalError): void {
    this.open.delete(connection);
    if (connection.peer) this.proved--;
    if (this.over && this.open.size === 0) this.emptied.resolve();
    if (this.over) return;
    const { peer } = connection;
    // A peer counts its own losses when it ends. A connection without a message only tried whether the port is open.
    const failed = reason.code !== 'unavailable' || (!peer && connection.heard);
    if (failed) this.observer.onFailure(reason.code);
    if (!peer) return;
    for (const listener of this.closedListeners) listener(peer.id, peer.incarnation);
  }
}

function fewer(limits: StrangerLimits, most: number): StrangerLimits {
  return { ...limits, connections: Math.min(limits.connections, most) };
}
