import type { Bus, Subscription } from '../bus/bus.js';
import type { Clock } from '../clock.js';
import { InvalidRequest, NoSuchActor, Unavailable } from '../errors.js';
import * as limits from '../limits.js';
import type { Random } from '../random.js';
import { Actor, type AnyBehavior, type Life, type Supervisor } from './actor.js';
import {
  type ActorAddress,
  type AnswerMessage,
  type LookupMessage,
  NodeAddress,
  type NodeMessage,
  sameNode,
} from './envelope.js';
import type { ObserveActors } from './event.js';
import { Incoming } from './incoming.js';
import type { IncomingCall } from './incoming-call.js';
import { type CallLinks, NO_LINKS } from './links.js';
import { Outgoing } from './outgoing.js';
import type { OutgoingCall } from './outgoing-call.js';
import { type Inbox, Post } from './post.js';
import type { Behavior, Protocol } from './protocol.js';
import { ActorRef } from './ref.js';
import type { Route, RouteKind } from './route.js';
import type { SpawnOptions } from './spawn-options.js';

/** The actors of one process: spawning, references, look-ups, and dispatch of messages to calls. */

/** Default bound on the messages waiting in an actor's mailbox. */
const MAILBOX_MESSAGES = 1024;
/** How often a node probes its open calls and checks all calls for silence. @internal exported for tests. */
export const CALL_HEARTBEAT_MS = 1_000;

export interface ActorSystemOptions {
  readonly bus: Bus;
  /** Direct links to other nodes. Without them all calls go over the bus. */
  readonly links?: CallLinks;
  readonly clock: Clock;
  readonly random: Random;
  /** `incarnation` must be fresh at every start. */
  readonly node: { readonly id: string; readonly incarnation: string };
  /** Prefix of all subjects. Systems with different namespaces do not see each other. */
  readonly namespace: string;
  readonly observe?: ObserveActors;
  /** Called for each call that this node makes, with the kind of its first route. */
  readonly onCall?: (path: RouteKind) => void;
  /** When a node last said that it lives, by `clock`; null if it is unknown. Without it, only the node's answers to calls and probes count. */
  readonly heardMs?: (node: NodeAddress) => number | null;
  /** Silence of a node after which calls to it and from it are lost. */
  readonly silenceMs?: number;
}

/** The environment of an actor, passed to its factory. */
export interface ActorContext<P extends Protocol> {
  readonly self: ActorRef<P>;
  readonly system: ActorSystem;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborts when this life of the actor ends, by a crash or a stop. */
  readonly signal: AbortSignal;
  /** Registers a function that releases a resource when this life ends. All run in reverse order, and finish before the next life begins. */
  onStop(release: () => void | Promise<void>): void;
}

type Factory = (context: ActorContext<Protocol>) => AnyBehavior | Promise<AnyBehavior>;

/** The actors of one process, and references to others. Starts with `start`, the first actor, reference or look-up; earlier events of its bus are unknown to it. */
export class ActorSystem {
  readonly node: NodeAddress;
  private readonly actors = new Map<string, Actor>();
  /** Of the actors that look-ups find. */
  private readonly listening = new Map<Actor, Subscription>();
  private readonly lookups = new Map<number, (from: NodeAddress) => void>();
  private readonly links: CallLinks;
  private readonly post: Post;
  private readonly outgoing: Outgoing;
  private readonly incoming: Incoming;
  private readonly observe: ObserveActors;
  private readonly routeListeners: (() => void)[] = [];
  private readonly supervisor: Supervisor;
  /** Undo `start`; empty before it. */
  private readonly endings: (() => void)[] = [];
  private sweptMs = 0;
  private stopped: Promise<void> | null = null;

  constructor(private readonly options: ActorSystemOptions) {
    const { bus, clock, node, namespace } = options;
    this.node = NodeAddress.parse({ node: node.id, incarnation: node.incarnation });
    this.observe = options.observe ?? (() => undefined);
    this.links = options.links ?? NO_LINKS;
    this.supervisor = {
      ...{ clock, observe: this.observe },
      create: async ({ protocol, name, factory }, life) => (factory as Factory)(this.context(protocol, name, life)),
      gaveUp: (actor) => this.remove(actor.name, actor),
    };
    const { links, node: self, observe } = this;
    this.post = new Post({ bus, links, namespace, self, inbox: this.inbox(), observe });
    const { onCall = () => undefined, heardMs = () => null, silenceMs = limits.CALL_SILENCE_MS } = options;
    this.outgoing = new Outgoing(this.node, clock, this.post, this.observe, onCall, { heardMs, silenceMs });
    this.incoming = new Incoming(clock, this.node, this.observe, (call) => this.deliver(call), silenceMs);
  }

  /** Subscribes to this node's messages and starts the heartbeat. Idempotent. */
  start(): void {
    if (this.stopped || this.endings.length > 0) return;
    const { bus, clock } = this.options;
    this.post.open();
    this.sweptMs = clock.now();
    const sweeping = clock.every(CALL_HEARTBEAT_MS, () => this.sweep());
    const endStatus = bus.onStatus((status) => {
      if (status === 'found') this.busFound();
      else this.outgoing.reroute();
    });
    this.endings.push(
      () => sweeping.cancel(),
      endStatus,
      () => this.post.close(),
    );
  }

  /**
   * Creates an actor. The factory runs now, and again after each crash. Rejects with the error of the first run, with InvalidRequest if the
   * name is taken, empty or too long, or with Unavailable if the system has stopped.
   */
  async spawn<P extends Protocol>(
    protocol: P,
    name: string,
    factory: (context: ActorContext<P>) => Behavior<P> | Promise<Behavior<P>>,
    options: SpawnOptions = {},
  ): Promise<ActorRef<P>> {
    if (this.stopped) throw new Unavailable(`cannot create the actor ${name}: the actor system has stopped`);
    if (this.actors.has(name)) throw new InvalidRequest(`name: ${name} is already taken on ${this.node.node}`);
    if (name === '' || name.length > limits.ACTOR_NAME_CHARS) {
      throw new InvalidRequest(`name: must have 1 to ${limits.ACTOR_NAME_CHARS} characters, got ${name.length}`);
    }
    this.start();
    const { mailbox = MAILBOX_MESSAGES, concurrency = 1, supervision } = options;
    const actor = new Actor({
      ...{ name, protocol, factory, mailbox, concurrency },
      supervision: supervision ?? null,
      owner: this.supervisor,
    });
    if (options.listed !== false) this.listening.set(actor, this.post.listen(name));
    this.actors.set(name, actor);
    try {
      await actor.start();
    } catch (error) {
      this.remove(name, actor);
      await actor.stop(new Unavailable(`the actor ${name} could not be created`));
      throw error;
    }
    return this.ref(protocol, { ...this.node, actor: name });
  }

  /** Makes a reference to an actor at a known address. Sends nothing. */
  ref<P extends Protocol>(protocol: P, address: ActorAddress): ActorRef<P> {
    this.start();
    return new ActorRef(protocol, address, this.outgoing);
  }

  /**
   * Finds all actors with a name and protocol, on all nodes. Returns as soon as `enough` are found, else after `timeoutMs`, because the number of
   * actors is unknown. While the bus is lost, only this node and linked nodes are asked.
   */
  async lookup<P extends Protocol>(
    protocol: P,
    name: string,
    timeoutMs: number,
    enough = Number.POSITIVE_INFINITY,
  ): Promise<ActorRef<P>[]> {
    this.start();
    const found = new Map<string, ActorRef<P>>();
    const add = (at: NodeAddress) => {
      found.set(`${at.node}\n${at.incarnation}`, this.ref(protocol, { ...at, actor: name }));
    };
    if (this.has(protocol.name, name)) add(this.node);
    if (found.size >= enough || this.stopped) return [...found.values()];
    const id = this.outgoing.nextId();
    await new Promise<void>((resolve) => {
      const timer = this.options.clock.after(timeoutMs, resolve);
      const done = () => {
        timer.cancel();
        resolve();
      };
      this.lookups.set(id, (from) => {
        if (sameNode(from, NOBODY)) return done();
        add(from);
        if (found.size >= enough) done();
      });
      try {
        this.post.lookup({ id, from: this.node, protocol: protocol.name, actor: name });
      } catch {
        done();
      }
    });
    this.lookups.delete(id);
    return [...found.values()];
  }

  /** Stops an actor. Its waiting and running calls fail with Unavailable. */
  async stopActor(name: string): Promise<void> {
    const actor = this.actors.get(name);
    if (!actor) return;
    this.remove(name, actor);
    await actor.stop(new Unavailable(`the actor ${name} was stopped`));
  }

  /** Calls in the mailbox of an actor; 0 if there is none of that name. */
  waiting(name: string): number {
    return this.actors.get(name)?.waitingCalls ?? 0;
  }

  /** The route that a call to a node would take now. A direct route that closes stays closed; the bus may come back. */
  routeTo(node: NodeAddress): Pick<Route, 'kind' | 'open'> {
    return this.post.routeTo(node);
  }

  /** Nodes with an open direct link. */
  linkedNodes(): NodeAddress[] {
    return [...this.links.all()].map(({ peer }) => peer);
  }

  /** Registers a listener that runs after a direct link opens or closes, and after the bus is found. */
  onRoutesChanged(listener: () => void): void {
    this.routeListeners.push(listener);
  }

  /** To be called when membership ends an incarnation of a node: calls to it fail at once, calls from it are cancelled. */
  nodeGone(node: string, incarnation: string): void {
    this.outgoing.nodeGone({ node, incarnation });
    this.incoming.nodeGone({ node, incarnation });
  }

  /** To be called when an incarnation that was taken for gone is a member again. */
  readonly nodeBack = (node: string, incarnation: string) => this.outgoing.nodeBack({ node, incarnation });

  /** Stops all actors and calls, and resolves when the actors have released their resources. The bus stays open. Idempotent. */
  stop(): Promise<void> {
    this.stopped ??= this.stopAll();
    return this.stopped;
  }

  private async stopAll(): Promise<void> {
    await Promise.all([...this.actors.keys()].map((name) => this.stopActor(name)));
    this.incoming.stop();
    this.outgoing.stop();
    for (const onFound of [...this.lookups.values()]) onFound(NOBODY);
    for (const end of this.endings) end();
  }

  private inbox(): Inbox {
    return {
      nodeMessage: (message, route) => this.onNodeMessage(message, route),
      answer: (id, message, from) => this.onAnswer(id, message, from),
      lookup: (message) => this.onLookup(message),
      reportedAbsent: (node) => this.outgoing.reportedAbsent(node),
      routesChanged: () => this.routesChanged(),
    };
  }

  private onNodeMessage(message: NodeMessage, route: Route): void {
    if (message.type === 'call') this.incoming.receiveCall(message, route);
    else if (message.type === 'cancel') this.incoming.cancel(message);
    else if (message.type === 'credit') this.incoming.credit(message);
    else if (message.type === 'probe') this.incoming.probe(message, route);
    else for (const [id, sent] of message.calls) this.callTo(message.from, id)?.alive(sent);
  }

  private onAnswer(id: number, message: AnswerMessage, from: NodeAddress | null): void {
    if (message.type === 'here') this.lookups.get(id)?.(message.from);
    else this.callTo(from, id)?.receive(message);
  }

  /** The open call with this ID, if it goes to this node. */
  private callTo(node: NodeAddress | null, id: number): OutgoingCall | undefined {
    const call = this.outgoing.get(id);
    return call && (node === null || sameNode(call.to, node)) ? call : undefined;
  }

  private onLookup(message: LookupMessage): void {
    if (!this.has(message.protocol, message.actor)) return;
    try {
      this.post.routeTo(message.from).toCall(message.id, { type: 'here', from: this.node });
    } catch {
      this.observe({ type: 'dropped', reason: 'undeliverable', what: `look-up of ${message.actor}` });
    }
  }

  private deliver(call: IncomingCall): void {
    const { actor: name } = call.message;
    const actor = this.actors.get(name);
    if (actor) actor.offer(call);
    else call.fail(new NoSuchActor(`cannot reach the actor ${name}: ${this.node.node} has no such actor`));
  }

  private has(protocol: string, name: string): boolean {
    return this.actors.get(name)?.settings.protocol.name === protocol;
  }

  private context<P extends Protocol>(protocol: P, name: string, life: Life): ActorContext<P> {
    const { clock, random } = this.options;
    const refOf = () => this.ref(protocol, { ...this.node, actor: name });
    return {
      ...{ system: this, clock, random },
      get self() {
        return refOf();
      },
      get signal() {
        return life.signal;
      },
      onStop: (release) => life.onStop(release),
    };
  }

  private remove(name: string, actor: Actor): void {
    if (this.actors.get(name) !== actor) return;
    this.actors.delete(name);
    this.listening.get(actor)?.unsubscribe();
    this.listening.delete(actor);
  }

  private sweep(): void {
    const nowMs = this.options.clock.now();
    const late = nowMs - this.sweptMs > 2 * CALL_HEARTBEAT_MS;
    this.sweptMs = nowMs;
    // Silence proves nothing if this process stood still and has messages left to read, if the bus is lost, or if messages stand in a queue.
    const excused = ({ kind, crowded }: Route) => late || crowded || (kind === 'nats' && !this.options.bus.connected);
    this.outgoing.sweep(excused);
    this.incoming.sweep(excused);
  }

  private busFound(): void {
    this.incoming.busFound();
    this.outgoing.busFound();
    for (const listener of this.routeListeners) listener();
  }

  private routesChanged(): void {
    this.outgoing.reroute();
    for (const listener of this.routeListeners) listener();
  }
}

/** Ends a look-up in place of a found node: no further node will answer. */
const NOBODY: NodeAddress = { node: '', incarnation: '' };
