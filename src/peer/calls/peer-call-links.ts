import type { CallLink, CallLinks, LinkListener } from '../../actors/links.js';
import { Pacing } from '../../async/pacing.js';
import type { Clock, Timer } from '../../clock.js';
import type { PeerAddress } from '../../core/member.js';
import { type ShoalError, Unavailable } from '../../errors.js';
import { HANDSHAKE_TIMEOUT_MS, PEER_PROGRESS_TIMEOUT_MS } from '../../limits.js';
import type { Random } from '../../random.js';
import { type Connection, nobodyListens } from '../wire/connection.js';
import { EndpointTurns } from '../wire/endpoint-turns.js';
import type { Prelude } from '../wire/frame.js';
import { type Dialler, greetServer, type OpenSession } from '../wire/greeting.js';
import { ClientHandshake, NONCE_BYTES, type PeerIdentity } from '../wire/handshake.js';
import { type PeerNetwork, SOCKETS } from '../wire/network.js';
import type { SocketOptions } from '../wire/socket.js';
import { CallConnection } from './call-connection.js';

/** Direct links between processes for calls: dials those that have an address, and takes over connections that others dialled. */

/** Pauses between attempts to dial: the first, and the longest. Each is twice the last. */
const REDIAL_MS = 100;
const REDIAL_CEILING_MS = 2_000;
/** The longest pause is at least this for each node that cannot be reached, so that a thousand of them do not take the time of everything else. */
const REDIAL_SHARE_MS = 20;
/** The connections that are dialled within `DIAL_PACE_MS`; those beyond later. A thousand nodes may come at one moment, and each dial takes time. */
const DIALS_AT_ONCE = 16;
const DIAL_PACE_MS = 5;
/** Refusals in a row after which nobody listens at any address of a node, of which it has two at most: they take turns. */
const REFUSALS = 2;

/** A node that could not be dialled. @internal exported for tests. */
export interface DialFailure {
  readonly reason: ShoalError;
  /** Attempts in a row that came to nothing. */
  readonly attempts: number;
  /** Whether no process listens at any of the node's addresses. */
  readonly nobodyListens: boolean;
}

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
  /** Time after which a link is closed on which nothing comes. Default: `CallConnection`'s. */
  readonly silenceMs?: number;
  /** Where an incarnation of a node listens, if it is a living member that can be dialled; else null. */
  readonly addressOf: (node: Node) => PeerAddress | null;
  readonly onLinkOpened?: (node: Node) => void;
  /** A link that was open is closed, but not by this side's `close` or `forget`, nor for a newer link. */
  readonly onLinkClosed?: (node: Node, reason: ShoalError) => void;
  readonly onDialFailed?: (node: Node, failure: DialFailure) => void;
}

/** What this process has of one incarnation of a node. */
interface Pool {
  readonly links: Set<CallConnection>;
  dialling: Connection | null;
  redial: Timer | null;
  /** Whether it is to be dialled as soon as there is time. */
  due: boolean;
  /** Pauses in a row after which the node is dialled again. */
  pauses: number;
  /** Attempts in a row at which nobody listened. */
  refusals: number;
}

export class PeerCallLinks implements CallLinks {
  private readonly pools = new Map<string, Pool>();
  /** Those of nodes that are dialled again and again. */
  private readonly unreached = new Set<Pool>();
  /** Links that the peer has dialled. */
  private readonly accepted = new WeakSet<CallConnection>();
  private readonly turns: EndpointTurns;
  private listener: LinkListener | null = null;
  private readonly dials: Pacing<readonly [Node, Pool]>;
  private over = false;

  constructor(private readonly options: PeerCallLinksOptions) {
    this.turns = new EndpointTurns(options.hostId);
    this.dials = new Pacing(options.clock, DIALS_AT_ONCE, DIAL_PACE_MS, ([node, pool]) => this.dialDue(node, pool));
  }

  /** Serves connections for calls that a peer has dialled; for `PeerServer`. */
  readonly accept: OpenSession = (connection, client) => {
    const older = [...(this.pools.get(keyOf(nodeOf(client)))?.links ?? [])].filter((link) => this.accepted.has(link));
    const link = this.open(connection, client);
    this.accepted.add(link);
    // The peer dials again only once its own end is closed. What it sent before must not come after what it sends now.
    for (const each of older) this.replace(each);
    return link;
  };

  to(node: Node): CallLink | null {
    const pool = this.pools.get(keyOf(node));
    for (const link of pool?.links ?? []) if (link.open) return link;
    if (!pool) this.connect(node);
    return null;
  }

  /** When something last came from a node over a link that is open; null without one. */
  heardMs(node: Node): number | null {
    const open = [...(this.pools.get(keyOf(node))?.links ?? [])].filter((link) => link.open);
    return open.length === 0 ? null : Math.max(...open.map(({ heardMs }) => heardMs));
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
    if (this.over || !this.options.addressOf(node)) return;
    const pool = this.poolOf(node);
    if (pool.links.size === 0 && !pool.dialling && !pool.redial && !pool.due) this.dialSoon(node, pool);
  }

  /** Closes all links to a node that is no longer a member. */
  forget(node: Node): void {
    const pool = this.pools.get(keyOf(node));
    if (!pool) return;
    this.drop(node, pool);
    closePool(pool, new Unavailable(`${node.node} is no longer a member`));
  }

  /** Closes all links. */
  close(): void {
    this.over = true;
    this.dials.stop();
    for (const pool of this.pools.values()) closePool(pool, new Unavailable('this process is closing'));
    this.pools.clear();
  }

  private dial(node: Node, address: PeerAddress, pool: Pool): void {
    const { options } = this;
    const wanted = { id: node.node, incarnation: node.incarnation };
    try {
      const endpoint = this.turns.next(keyOf(node), address);
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
          (reason) => this.dialFailed(node, pool, reason),
        ),
      );
    } catch {
      // This host has no way to the address.
      this.failed(node, pool);
    }
  }

  private dialFailed(node: Node, pool: Pool, reason: ShoalError): void {
    const key = keyOf(node);
    const wanted = this.pools.get(key) === pool && !this.over;
    pool.refusals = nobodyListens(reason) ? pool.refusals + 1 : 0;
    if (wanted) this.turns.addFailure(key);
    this.failed(node, pool);
    if (!wanted) return;
    const attempts = this.turns.failed(key);
    this.options.onDialFailed?.(node, { reason, attempts, nobodyListens: pool.refusals >= REFUSALS });
  }

  private failed(node: Node, pool: Pool): void {
    pool.dialling = null;
    this.redialLater(node, pool);
  }

  private redialLater(node: Node, pool: Pool): void {
    if (this.over || this.pools.get(keyOf(node)) !== pool || pool.links.size > 0) return;
    if (pool.redial || pool.due) return;
    this.unreached.add(pool);
    const ceilingMs = Math.max(REDIAL_CEILING_MS, REDIAL_SHARE_MS * this.unreached.size);
    const pauseMs = Math.min(REDIAL_MS * 2 ** pool.pauses++, ceilingMs);
    pool.redial = this.options.clock.after(pauseMs, () => {
      pool.redial = null;
      this.dialSoon(node, pool);
    });
  }

  private dialSoon(node: Node, pool: Pool): void {
    pool.due = true;
    this.dials.add([node, pool]);
  }

  private dialDue(node: Node, pool: Pool): void {
    pool.due = false;
    if (this.over || this.pools.get(keyOf(node)) !== pool || pool.links.size > 0) return;
    // A node without an address is forgotten; the next call to it looks again.
    const address = this.options.addressOf(node);
    if (address) this.dial(node, address, pool);
    else this.drop(node, pool);
  }

  private drop(node: Node, pool: Pool): void {
    this.pools.delete(keyOf(node));
    this.turns.forget(keyOf(node));
    this.unreached.delete(pool);
  }

  private open(connection: Connection, peer: PeerIdentity): CallConnection {
    const node = nodeOf(peer);
    const pool = this.poolOf(node);
    if (pool.dialling === connection) pool.dialling = null;
    pool.pauses = 0;
    pool.refusals = 0;
    this.turns.forget(keyOf(node));
    this.unreached.delete(pool);
    const events = {
      received: (from: CallConnection, message: Uint8Array) => this.listener?.received(from, message),
      closed: (of: CallConnection, reason: ShoalError) => this.closed(node, pool, of, reason),
    };
    const link = new CallConnection(connection, peer, this.options.clock, events, this.options.silenceMs);
    pool.links.add(link);
    this.listener?.opened(link);
    this.options.onLinkOpened?.(node);
    return link;
  }

  /** Closes a link for which the peer has opened another one. */
  private replace(link: CallConnection): void {
    this.pools.get(keyOf(link.peer))?.links.delete(link);
    link.close(new Unavailable(`${link.peer.node} has opened another connection`));
  }

  private closed(node: Node, pool: Pool, link: CallConnection, reason: ShoalError): void {
    const wanted = pool.links.delete(link) && this.pools.get(keyOf(node)) === pool;
    if (wanted && pool.links.size === 0) this.redialLater(node, pool);
    this.listener?.closed(link);
    if (wanted && !this.over) this.options.onLinkClosed?.(node, reason);
  }

  private poolOf(node: Node): Pool {
    const key = keyOf(node);
    const known = this.pools.get(key);
    if (known) return known;
    const pool: Pool = {
      links: new Set(),
      dialling: null,
      redial: null,
      due: false,
      pauses: 0,
      refusals: 0,
    };
    this.pools.set(key, pool);
    return pool;
  }
}

function closePool({ links, dialling, redial }: Pool, reason: ShoalError): void {
  redial?.cancel();
  dialling?.close(reason);
  for (const link of [...links]) link.close(reason);
}

function nodeOf({ id, incarnation }: PeerIdentity): Node {
  return { node: id, incarnation };
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
