import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { hostname } from 'node:os';
import type { NodeAddress } from '../../actors/envelope.js';
import { logged } from '../../actors/logged.js';
import type { RouteKind } from '../../actors/route.js';
import { ActorSystem } from '../../actors/system.js';
import { abortReason } from '../../async/abort.js';
import { OneTimeEvent } from '../../async/event.js';
import { within } from '../../async/within.js';
import type { Transport } from '../../bus/transport.js';
import type { Clock } from '../../clock.js';
import type { PeerTlsConfig } from '../../config/peer-tls.js';
import type { PeerAddress } from '../../core/member.js';
import { Cancelled, Unheard } from '../../errors.js';
import { dialReport } from '../../fleet/dial-report.js';
import { runtimeSubjects } from '../../fleet/subjects.js';
import type { Lifecycle } from '../../lifecycle.js';
import { HANDSHAKE_TIMEOUT_MS } from '../../limits.js';
import type { Log } from '../../log.js';
import { PacedLog } from '../../paced-log.js';
import { PeerCallLinks } from '../../peer/calls/peer-call-links.js';
import { type ListenOptions, PeerServer } from '../../peer/server/peer-server.js';
import type { Surroundings } from '../../surroundings.js';
import { NODE_BUSY_MS, type NodeListEffect } from '../core/node-list.js';
import type { NodeView } from '../core/node-view.js';
import { NodeDirectory } from './node-directory.js';
import { NodeProbes } from './node-probes.js';
import { RollCall } from './roll-call.js';

/** One process's membership of the runtime: its actors, its connections to other members, and the list of members. */

/** Stands in the handshake where workers have the fingerprint of their model: members of the runtime and workers refuse each other's connections. */
const RUNTIME_FINGERPRINT = createHash('sha256').update('shoal runtime 1').digest('hex');

export interface RuntimeMemberOptions {
  readonly kind: NodeView['kind'];
  readonly id: string;
  readonly incarnation: string;
  readonly namespace: string;
  readonly secret: string;
  readonly tls: PeerTlsConfig | null;
  /** Sealed. The member does not close its bus. */
  readonly transport: Transport;
  readonly clock: Clock;
  readonly surroundings: Pick<Surroundings, 'hostId' | 'network' | 'setSendBuffer' | 'random' | 'wallMs'>;
  readonly log: Log;
  /** Where to listen for other members, and the host under which they reach this one; null: it only dials. */
  readonly listen: (ListenOptions & { readonly advertiseHost: string | null }) | null;
  /** The worker in this process, if any. */
  readonly worker: string | null;
  /** Called with the route on which a call sets out. */
  readonly onCall?: ((path: RouteKind) => void) | undefined;
}

/** A node's announcement besides its address; see `NodeView`. */
export type Offer = Pick<NodeView, 'exports' | 'total' | 'free' | 'actors' | 'tasks'>;

const NO_OFFER: Offer = { exports: [], total: {}, free: {}, actors: 0, tasks: 0 };

export class RuntimeMember {
  readonly self: NodeAddress;
  readonly directory: NodeDirectory;
  readonly actors: ActorSystem;
  readonly rollCall: RollCall;
  private readonly left = new AbortController();
  private readonly links: PeerCallLinks;
  private readonly probes: NodeProbes;
  private readonly server: PeerServer | null;
  private address: PeerAddress | null = null;
  private offer: () => Offer = () => NO_OFFER;
  /** Links that are waited for, by incarnation. An entry stays, so that a member that cannot be dialled is waited for once. */
  private readonly awaited = new Map<string, OneTimeEvent>();

  /** For lines that repeat with calls. */
  readonly pacedLog: Log;

  constructor(readonly options: RuntimeMemberOptions) {
    const { id, incarnation, namespace, transport, clock, surroundings, log } = options;
    this.self = { node: id, incarnation };
    this.pacedLog = new PacedLog(log, clock);
    setMaxListeners(0, this.left.signal);
    const { bus } = transport;
    const subjects = runtimeSubjects(namespace);
    this.directory = new NodeDirectory({
      ...{ bus, clock, subjects },
      describe: () => this.describe(),
      evidence: {
        linkHeardMs: (member) => this.links.heardMs({ node: member.id, incarnation: member.incarnation }),
        presenceOf: (member) => this.probes.presenceOf(member),
      },
    });
    const peer = {
      identity: { id, incarnation, fingerprint: RUNTIME_FINGERPRINT },
      secret: options.secret,
      tls: options.tls ?? undefined,
      clock,
      random: surroundings.random,
      network: surroundings.network,
      setSendBuffer: surroundings.setSendBuffer ?? undefined,
    };
    this.probes = new NodeProbes({ network: surroundings.network, clock, hostId: surroundings.hostId });
    const reportDial = dialReport(log);
    this.links = new PeerCallLinks({
      ...peer,
      // The code of users may keep the event loop of either side busy.
      silenceMs: NODE_BUSY_MS,
      hostId: surroundings.hostId,
      addressOf: (node) => this.directory.get(node.incarnation)?.address ?? null,
      onLinkOpened: (node) => {
        this.directory.trust(node.incarnation);
        this.awaited.get(node.incarnation)?.set();
      },
      onLinkClosed: (node, reason) => {
        // A link that fell silent shows no longer that the member lives; whether it does is judged by the bus.
        if (!(reason instanceof Unheard)) this.directory.suspect(node.incarnation);
        // The next call waits for another link, or for the news that the node is gone.
        this.awaited.delete(node.incarnation);
      },
      onDialFailed: (node, failure) => {
        if (failure.nobodyListens) this.directory.unreachable(node.incarnation);
        reportDial(node, failure);
      },
    });
    const { accept } = this.links;
    const noBlocks = { host: null, roleOf: () => 'stranger' as const, blockBytes: 0 };
    this.server = options.listen && new PeerServer({ ...peer, ...noBlocks, onCalls: accept });
    const node = { id, incarnation };
    const { links } = this;
    const { onCall = () => undefined } = options;
    const heardMs = (address: NodeAddress) => this.directory.heardMs(address.incarnation);
    const ports = { bus, links, clock, random: peer.random, observe: logged(log) };
    this.actors = new ActorSystem({ ...ports, node, namespace, heardMs, silenceMs: NODE_BUSY_MS, onCall });
    this.rollCall = new RollCall({ directory: this.directory, actors: this.actors, clock });
  }

  /** Joins the runtime. `life` leaves it again. */
  async start(life: Lifecycle): Promise<void> {
    const { server, links, actors, directory, options } = this;
    if (server && options.listen) {
      life.use(server, () => server.close());
      this.address = await this.listen(server, options.listen);
    }
    life.use(links, () => links.close());
    await life.start(actors);
    if (options.kind === 'node') await this.rollCall.start(life);
    directory.listen((effect) => this.follow(effect));
    await life.start(directory);
  }

  /** Aborts when this process leaves the fleet: nothing new begins after that. */
  get leaving(): AbortSignal {
    return this.left.signal;
  }

  /** Idempotent. */
  leave(): void {
    this.left.abort(new Cancelled('this process has left the fleet'));
  }

  /** @throws Cancelled if this process has left the fleet */
  requireOpen(): void {
    if (this.left.signal.aborted) throw abortReason(this.left.signal);
  }

  /** Sets the source of this node's offer. */
  offers(offer: () => Offer): void {
    this.offer = offer;
    this.directory.soon();
  }

  /** Resolves when there is a direct link to a member, when the member is gone, or when there will be no link soon. */
  async linked(node: NodeAddress): Promise<void> {
    const { incarnation } = node;
    if (this.isLinked(node) || this.awaited.has(incarnation)) return this.awaitLink(incarnation);
    this.awaited.set(incarnation, new OneTimeEvent());
    this.links.connect(node);
    return this.awaitLink(incarnation);
  }

  /** Whether a call to this node would bypass the bus. */
  isLinked(node: NodeAddress): boolean {
    return this.actors.routeTo(node).kind !== 'nats';
  }

  private async awaitLink(incarnation: string): Promise<void> {
    const event = this.awaited.get(incarnation);
    if (!event || !this.directory.get(incarnation)?.address) return;
    await within(this.options.clock, HANDSHAKE_TIMEOUT_MS, event.wait(new AbortController().signal));
    // Whether it is open or not: later calls do not wait.
    event.set();
  }

  private async listen(server: PeerServer, at: NonNullable<RuntimeMemberOptions['listen']>): Promise<PeerAddress> {
    const { unixPath, tcpHost, tcpPort } = await server.listen(at);
    return { hostId: this.options.surroundings.hostId, unixPath, tcpHost: at.advertiseHost ?? tcpHost, tcpPort };
  }

  private describe(): NodeView {
    const { kind, id, incarnation, worker } = this.options;
    const { pid } = process;
    return { kind, id, incarnation, worker, pid, host: hostname(), address: this.address, ...this.offer() };
  }

  /** A driver dials all nodes at once, because they cannot dial it. Nodes dial each other when they have something to say. */
  private follow({ type, node }: NodeListEffect): void {
    if (type === 'suspected') return;
    const address = { node: node.id, incarnation: node.incarnation };
    if (type === 'joined') {
      this.actors.nodeBack(node.id, node.incarnation);
      if (this.options.kind === 'driver' && node.address !== null) this.links.connect(address);
      return;
    }
    this.awaited.get(node.incarnation)?.set();
    this.awaited.delete(node.incarnation);
    this.links.forget(address);
    this.probes.forget(node.incarnation);
    this.actors.nodeGone(node.id, node.incarnation);
  }
}
