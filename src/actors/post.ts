import type { Bus, BusMessage, Subscription } from '../bus/bus.js';
import { FLEET_COORDINATORS, FLEET_WORKERS } from '../limits.js';
import {
  type AnswerMessage,
  type LookupMessage,
  type NodeAddress,
  type NodeMessage,
  nodeKey,
  sameNode,
} from './envelope.js';
import type { ObserveActors } from './event.js';
import { type LinkedMessage, packForBus, packLinked, unpackFromBus, unpackLinked } from './linked-message.js';
import type { CallLink, CallLinks } from './links.js';
import { BusRoute, DirectRoute, LocalRoute, type Route } from './route.js';
import { absenceBase, calledNode, inboxSubject, lookupSubject } from './subjects.js';

/** Finds the route to each node, and receives the messages that arrive from the bus and from direct links. */

/** Limit on the routes over the bus that are kept. A forgotten one is made again. */
const BUS_ROUTES = FLEET_WORKERS + FLEET_COORDINATORS;

/** Handlers for the messages that arrive at a node. */
export interface Inbox {
  /** Handles a message for the node. `route` leads back to the sender. */
  nodeMessage(message: NodeMessage, route: Route): void;
  /** Handles an answer to a call. `from` is the sender; null within this node. */
  answer(id: number, message: AnswerMessage, from: NodeAddress | null): void;
  lookup(message: LookupMessage): void;
  /** The bus reports that a node does not listen; anyone on the bus can forge that, as often as the bus carries. */
  reportedAbsent(node: NodeAddress): void;
  /** A direct link opened or closed: calls whose route closed can switch to another. */
  routesChanged(): void;
}

export interface PostOptions {
  readonly bus: Bus;
  readonly links: CallLinks;
  readonly namespace: string;
  readonly self: NodeAddress;
  readonly inbox: Inbox;
  readonly observe: ObserveActors;
}

/** Sends and receives the messages of one node. Checks each received message before it hands it to the inbox. */
export class Post {
  readonly self: NodeAddress;
  private readonly bus: Bus;
  private readonly inbox: Inbox;
  private readonly subscriptions: Subscription[] = [];
  private readonly local: LocalRoute;
  private readonly overBus = new Map<string, BusRoute>();
  private readonly direct = new WeakMap<CallLink, DirectRoute>();
  private linked = 0;

  constructor(private readonly options: PostOptions) {
    const { bus, self, inbox } = options;
    this.self = self;
    this.bus = bus;
    this.inbox = inbox;
    this.local = new LocalRoute(inbox);
  }

  /** Subscribes to this node's messages. Call once. */
  open(): void {
    const { bus, self, inbox } = this;
    const { namespace } = this.options;
    const absences = absenceBase(namespace, self);
    this.subscriptions.push(
      bus.subscribe(inboxSubject(namespace, self), (message) => this.onBusMessage(message)),
      bus.subscribe(`${absences}*.*`, (message) => this.onAbsence(message, absences), { reports: true }),
    );
    this.options.links.listen({
      opened: () => inbox.routesChanged(),
      closed: () => inbox.routesChanged(),
      received: (link, message) => this.onLinked(link, message),
    });
  }

  isLocal(address: NodeAddress): boolean {
    return sameNode(address, this.self);
  }

  /** The best route now: local within this node, else a direct link if one is open, else the bus, even while the bus is lost. */
  routeTo(node: NodeAddress): Route {
    if (this.isLocal(node)) return this.local;
    const link = this.options.links.to(node);
    return link?.open ? this.routeOver(link) : this.busRoute(node);
  }

  /** Subscribes to look-ups of an actor's name. */
  listen(actor: string): Subscription {
    return this.bus.subscribe(lookupSubject(this.options.namespace, actor), (message) => this.onBusMessage(message));
  }

  /**
   * Asks all nodes for an actor over the bus; while the bus is lost, only the nodes with an open link.
   * @throws what `Bus.publish` throws: Unavailable if the bus is lost and no link is open
   */
  lookup(message: LookupMessage): void {
    const { namespace, links } = this.options;
    const linked = [...links.all()];
    if (this.bus.connected || linked.length === 0) {
      this.bus.publish(lookupSubject(namespace, message.actor), packForBus({ to: 'all', message }, this.self));
      return;
    }
    for (const link of linked) this.lookUpOver(link, message);
  }

  /** A link that cannot take the message keeps it from no other. */
  private lookUpOver(link: CallLink, message: LookupMessage): void {
    try {
      link.send(packLinked({ to: 'all', message }));
    } catch {
      const what = `look-up of ${message.actor} at ${link.peer.node}`;
      this.options.observe({ type: 'dropped', reason: 'undeliverable', what });
    }
  }

  close(): void {
    for (const subscription of this.subscriptions) subscription.unsubscribe();
  }

  private routeOver(link: CallLink): DirectRoute {
    const known = this.direct.get(link);
    if (known) return known;
    const route = new DirectRoute(link, `direct ${++this.linked}`);
    this.direct.set(link, route);
    return route;
  }

  private busRoute(to: NodeAddress): BusRoute {
    const key = nodeKey(to);
    const known = this.overBus.get(key);
    if (known) return known;
    const route = new BusRoute(this.bus, this.options.namespace, this.self, to);
    if (this.overBus.size >= BUS_ROUTES) this.overBus.clear();
    this.overBus.set(key, route);
    return route;
  }

  private onLinked(link: CallLink, bytes: Uint8Array): void {
    try {
      this.deliver(unpackLinked(bytes, link.peer), link.peer, () => this.routeOver(link));
    } catch {
      this.dropMalformed(`message from ${link.peer.node}`);
    }
  }

  private onBusMessage(message: BusMessage): void {
    const read = this.readFromBus(message);
    if (read) this.deliver(read.linked, read.from, () => this.busRoute(read.from));
  }

  private readFromBus({ subject, payload, from }: BusMessage): ReturnType<typeof unpackFromBus> | null {
    try {
      const read = unpackFromBus(payload);
      // A member with the secret must not speak as another one. A bus that does not seal proves no sender.
      if (!from || sameNode(read.from, { node: from.id, incarnation: from.incarnation })) return read;
      this.dropMalformed(`message on ${subject} from ${from.id}, in the name of ${read.from.node}`);
    } catch {
      this.dropMalformed(subject);
    }
    return null;
  }

  private deliver(linked: LinkedMessage, from: NodeAddress, routeBack: () => Route): void {
    if (linked.to === 'call') this.inbox.answer(linked.id, linked.message, from);
    else if (linked.to === 'all') this.inbox.lookup(linked.message);
    else this.inbox.nodeMessage(linked.message, routeBack());
  }

  private onAbsence({ nobody, subject }: BusMessage, base: string): void {
    const called = nobody ? calledNode(subject, base) : null;
    if (called) this.inbox.reportedAbsent(called);
  }

  private dropMalformed(what: string): void {
    this.options.observe({ type: 'dropped', reason: 'malformed', what });
  }
}
