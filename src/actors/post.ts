import type { Bus, BusMessage, Subscription } from '../bus/bus.js';
import { decode, encode } from '../wire/msgpack.js';
import {
  type AnswerMessage,
  LookupMessage,
  type NodeAddress,
  NodeMessage,
  sameNode,
  unpackAnswer,
} from './envelope.js';
import type { ObserveActors } from './event.js';
import { packLinked, unpackLinked } from './linked-message.js';
import type { CallLink, CallLinks } from './links.js';
import { BusRoute, DirectRoute, LocalRoute, type Route } from './route.js';
import { callSubject, lookupSubject, nodeSubject, probedTokens } from './subjects.js';

/** Finds the route to each node, and receives the messages that arrive from the bus and from direct links. */

/** Handlers for the messages that arrive at a node. */
export interface Inbox {
  /** Handles a message for the node. `route` leads back to the sender. */
  nodeMessage(message: NodeMessage, route: Route): void;
  /** Handles an answer to a call. `from` is the authenticated peer of a direct link; null on other routes. */
  answer(id: number, message: AnswerMessage, from: NodeAddress | null): void;
  lookup(message: LookupMessage): void;
  /** The bus reports that a call had no subscriber. */
  nobodyForCall(id: number): void;
  /** The bus reports that a probe had no subscriber. `is` tests whether an address is the probed node's. */
  nobodyForProbe(is: (address: NodeAddress) => boolean): void;
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
  private readonly base: string;
  private readonly local: LocalRoute;
  private readonly direct = new WeakMap<CallLink, DirectRoute>();
  private linked = 0;

  constructor(private readonly options: PostOptions) {
    const { bus, namespace, self, inbox } = options;
    this.self = self;
    this.bus = bus;
    this.inbox = inbox;
    this.base = nodeSubject(namespace, self);
    this.local = new LocalRoute(inbox);
  }

  /** Subscribes to this node's messages. Call once. */
  open(): void {
    const { bus, base, inbox } = this;
    this.subscriptions.push(
      bus.subscribe(`${base}.in`, (message) => this.onNodeMessage(message)),
      bus.subscribe(`${base}.call.*`, (message) => this.onAnswer(message)),
      bus.subscribe(`${base}.probe.*.*`, (message) => this.onProbeReply(message)),
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
    return this.bus.subscribe(lookupSubject(this.options.namespace, actor), (message) => {
      const lookup = this.read(message, (value) => LookupMessage.parse(value));
      if (lookup) this.inbox.lookup(lookup);
    });
  }

  /**
   * Asks all nodes for an actor over the bus; while the bus is lost, only the nodes with an open link.
   * @throws what `Bus.publish` throws: Unavailable if the bus is lost and no link is open
   */
  lookup(message: LookupMessage): void {
    const { namespace, links } = this.options;
    const linked = [...links.all()];
    if (this.bus.connected || linked.length === 0) {
      const reply = callSubject(namespace, this.self, message.id);
      this.bus.publish(lookupSubject(namespace, message.actor), encode(message), reply);
      return;
    }
    for (const link of linked) link.send(packLinked({ to: 'all', message }));
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

  private busRoute(node: NodeAddress): BusRoute {
    return new BusRoute(this.bus, this.options.namespace, this.self, node);
  }

  private onLinked(link: CallLink, bytes: Uint8Array): void {
    try {
      const linked = unpackLinked(bytes, link.peer);
      if (linked.to === 'call') this.inbox.answer(linked.id, linked.message, link.peer);
      else if (linked.to === 'all') this.inbox.lookup(linked.message);
      else this.inbox.nodeMessage(linked.message, this.routeOver(link));
    } catch {
      this.dropMalformed(`message from ${link.peer.node}`);
    }
  }

  private onNodeMessage(message: BusMessage): void {
    const parsed = this.read(message, (value) => NodeMessage.parse(value));
    if (parsed) this.inbox.nodeMessage(parsed, this.busRoute(parsed.from));
  }

  private onAnswer(message: BusMessage): void {
    const id = Number(message.subject.slice(message.subject.lastIndexOf('.') + 1));
    const parsed = message.nobody ? null : this.read(message, unpackAnswer);
    if (parsed) this.inbox.answer(id, parsed, null);
    else if (message.nobody) this.inbox.nobodyForCall(id);
  }

  private onProbeReply(message: BusMessage): void {
    if (!message.nobody) return;
    const probed = message.subject.slice(`${this.base}.probe.`.length);
    this.inbox.nobodyForProbe((address) => probed === probedTokens(address));
  }

  private read<T>(message: BusMessage, parse: (value: unknown) => T): T | null {
    try {
      return parse(decode(message.payload));
    } catch {
      this.dropMalformed(message.subject);
      return null;
    }
  }

  private dropMalformed(what: string): void {
    this.options.observe({ type: 'dropped', reason: 'malformed', what });
  }
}
