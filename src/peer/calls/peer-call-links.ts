import type { CallLink, CallLinks, LinkListener } from '../../actors/links.js';
import type { Clock, Timer } from '../../clock.js';
import type { PeerAddress } from '../../core/member.js';
import { type ShoalError, Unavailable } from '../../errors.js';
import { HANDSHAKE_TIMEOUT_MS, PEER_PROGRESS_TIMEOUT_MS } from '../../limits.js';
import type { Random } from '../../random.js';
import type { Connection } from '../wire/connection.js';
import type { Prelude } from '../wire/frame.js';
import { type Dialler, greetServer, type OpenSession } from '../wire/greeting.js';
import { ClientHandshake, NONCE_BYTES, type PeerIdentity } from '../wire/handshake.js';
import { type PeerNetwork, SOCKETS } from '../wire/network.js';
import { endpointOf, type SocketOptions } from '../wire/socket.js';
import { CallConnection } from './call-connection.js';

/** Direct links between processes for calls: dials those that have an address, and takes over connections that others dialled. */

/** Pauses between attempts to dial: the first, and the longest. Each is twice the last. */
const REDIAL_MS = 100;
const REDIAL_CEILING_MS = 2_000;

/** One incarnation of a node. */
interface Node {
  readonly node: string;
  readonly incarnation: string;
}

export interface PeerCallLinksOptions extends SocketOptions {
  /** Default: sockets. */
  readonly network?: PeerNetwork;
  readonly identity: PeerIdentity;
  /** The machine this process is on, as in `PeerAddress`. */
  readonly hostId: string;
  readonly secret: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Where an incarnation of a node listens, if it is a living member that can be dialled; else null. */
  readonly addressOf: (node: Node) => PeerAddress | null;
  readonly onLinkOpened?: (node: Node) => void;
  /** A link that was open is closed, but not by this side's `close` or `forget`. */
  readonly onLinkClosed?: (node: Node, reason: ShoalError) => void;
}

/** What this process has of one incarnation of a node. */
interface Pool {
  readonly links: Set<CallConnection>;
  dialling: Connection | null;
  redial: Timer | null;
  /** Attempts in a row that came to nothing. */
  failures: number;
}

export class PeerCallLinks implements CallLinks {
  private readonly pools = new Map<string, Pool>();
  private listener: LinkListener | null = null;
  private over = false;

  constructor(private readonly options: PeerCallLinksOptions) {}

  /** Serves connections for calls that a peer has dialled; for `PeerServer`. */
  readonly accept: OpenSession = (connection, client) => this.open(connection, client);

  to(node: Node): CallLink | null {
    const pool = this.pools.get(keyOf(node));
    for (const link of pool?.links ?? []) if (link.open) return link;
    if (!pool) this.connect(node);
    return null;
  }

  *all(): Iterable<CallLink> {
    for (const { links } of this.pools.values()) {
      for (const link of links) {
        if (!link.open) continue;
        yield link;
        break;
      }
    }
  }

  listen(listener: LinkListener): void {
    this.listener = listener;
  }

  /** Dials a node, and dials it again whenever its link closes, as long as `addressOf` has an address. Does nothing while a link is open. */
  connect(node: Node): void {
    const address = this.over ? null : this.options.addressOf(node);
    if (!address) return;
    const pool = this.poolOf(node);
    if (pool.links.size === 0 && !pool.dialling && !pool.redial) this.dial(node, address, pool);
  }

  /** Closes all links to a node that is no longer a member. */
  forget(node: Node): void {
    const pool = this.pools.get(keyOf(node));
    if (!pool) return;
    this.pools.delete(keyOf(node));
    closePool(pool, new Unavailable(`${node.node} is no longer a member`));
  }

  /** Closes all links. */
  close(): void {
    this.over = true;
    for (const pool of this.pools.values()) closePool(pool, new Unavailable('this process is closing'));
    this.pools.clear();
  }

  private dial(node: Node, address: PeerAddress, pool: Pool): void {
    const { options } = this;
    const wanted = { id: node.node, incarnation: node.incarnation };
    try {
      const endpoint = endpointOf(address, options.hostId);
      const { network = SOCKETS } = options;
      const nonce = options.random.bytes(NONCE_BYTES);
      pool.dialling = greetServer(
        {
          open: (inlet) => network.dial(endpoint, inlet, options),
          handshake: new ClientHandshake(options.identity, wanted, 'calls', options.secret, nonce),
          clock: options.clock,
          handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
          progressTimeoutMs: PEER_PROGRESS_TIMEOUT_MS,
        },
        new CallDialler(
          (connection, server) => this.open(connection, server),
          () => this.failed(node, pool),
        ),
      );
    } catch {
      // This host has no way to the address.
      this.failed(node, pool);
    }
  }

  private failed(node: Node, pool: Pool): void {
    pool.dialling = null;
    this.redialLater(node, pool);
  }

  private redialLater(node: Node, pool: Pool): void {
    if (this.over || this.pools.get(keyOf(node)) !== pool || pool.links.size > 0 || pool.redial) return;
    const pauseMs = Math.min(REDIAL_MS * 2 ** pool.failures++, REDIAL_CEILING_MS);
    pool.redial = this.options.clock.after(pauseMs, () => {
      pool.redial = null;
      if (this.pools.get(keyOf(node)) !== pool || pool.links.size > 0) return;
      // A node without an address is forgotten; the next call to it looks again.
      this.pools.delete(keyOf(node));
      const address = this.options.addressOf(node);
      if (!address) return;
      this.pools.set(keyOf(node), pool);
      this.dial(node, address, pool);
    });
  }

  private open(connection: Connection, peer: PeerIdentity): CallConnection {
    const node = { node: peer.id, incarnation: peer.incarnation };
    const pool = this.poolOf(node);
    if (pool.dialling === connection) pool.dialling = null;
    pool.failures = 0;
    const link = new CallConnection(connection, peer, this.options.clock, {
      received: (from, message) => this.listener?.received(from, message),
      closed: (of, reason) => this.closed(node, pool, of, reason),
    });
    pool.links.add(link);
    this.listener?.opened(link);
    this.options.onLinkOpened?.(node);
    return link;
  }

  private closed(node: Node, pool: Pool, link: CallConnection, reason: ShoalError): void {
    pool.links.delete(link);
    const wanted = this.pools.get(keyOf(node)) === pool;
    if (wanted && pool.links.size === 0) this.redialLater(node, pool);
    this.listener?.closed(link);
    if (wanted && !this.over) this.options.onLinkClosed?.(node, reason);
  }

  private poolOf(node: Node): Pool {
    const key = keyOf(node);
    const known = this.pools.get(key);
    if (known) return known;
    const pool: Pool = { links: new Set(), dialling: null, redial: null, failures: 0 };
    this.pools.set(key, pool);
    return pool;
  }
}

function closePool({ links, dialling, redial }: Pool, reason: ShoalError): void {
  redial?.cancel();
  dialling?.close(reason);
  for (const link of [...links]) link.close(reason);
}

function keyOf({ node, incarnation }: Node): string {
  return `${node}\n${incarnation}`;
}

/** The dialling side of a connection for calls: passes everything on to the link, once the handshake has made one. */
class CallDialler implements Dialler {
  private link: CallConnection | null = null;

  constructor(
    private readonly makeLink: (connection: Connection, server: PeerIdentity) => CallConnection,
    /** The handshake came to nothing, for this reason. */
    private readonly onFailed: (reason: ShoalError) => void,
  ) {}

  opened(connection: Connection, server: PeerIdentity): void {
    this.link = this.makeLink(connection, server);
  }

  admit(prelude: Prelude): void {
    this.link!.admit(prelude);
  }

  begin(prelude: Prelude, header: Uint8Array): Uint8Array | null {
    return this.link!.begin(prelude, header);
  }

  wants(): boolean {
    return this.link!.wants();
  }

  end(): void {
    this.link!.end();
  }

  awaits(): boolean {
    return this.link === null;
  }

  closed(reason: ShoalError): void {
    if (this.link) this.link.closed(reason);
    else this.onFailed(reason);
  }
}
