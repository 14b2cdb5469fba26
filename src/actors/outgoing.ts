import type { Clock } from '../clock.js';
import { Overloaded, type ShoalError, Unavailable } from '../errors.js';
import * as limits from '../limits.js';
import {
  type ActorAddress,
  type CallMessage,
  type NodeAddress,
  type NodeMessage,
  nodeKey,
  sameNode,
} from './envelope.js';
import type { ObserveActors } from './event.js';
import { type CallOptions, type CallOwner, type CallRequest, OutgoingCall, type Receiver } from './outgoing-call.js';
import type { Post } from './post.js';
import type { Route, RouteKind } from './route.js';

/** A call whose connection closed while the bus is lost waits so long for another route. */
const ROUTELESS_MS = 1_000;

/** Incarnations known to be gone that a node remembers, so that a call to one fails at once. */
const GONE_NODES_REMEMBERED = 4_096;

/** The calls of this node towards actors, here and elsewhere. */
export class Outgoing implements CallOwner {
  private readonly open = new Map<number, OutgoingCall>();
  private readonly gone = new Set<string>();
  private lastId = 0;
  private stopped = false;
  /** Before, who does not listen may only be later than this node at finding the bus again. */
  private judgeFromMs = 0;

  constructor(
    readonly self: NodeAddress,
    readonly clock: Clock,
    private readonly post: Post,
    private readonly observe: ObserveActors,
    private readonly onCall: (path: RouteKind) => void,
  ) {}

  call(to: ActorAddress, asked: CallRequest, options: CallOptions, receiver: Receiver): OutgoingCall {
    const call = new OutgoingCall(this.nextId(), to, asked, options, receiver, this);
    this.onCall(call.route.kind);
    call.begin();
    return call;
  }

  tell(to: ActorAddress, told: Pick<CallMessage, 'protocol' | 'method' | 'request'>): void {
    const { actor } = to;
    const message = {
      type: 'call',
      id: this.nextId(),
      from: this.self,
      actor,
      kind: 'tell',
      deadlineMs: null,
    } as const;
    const route = this.routeTo(to);
    this.onCall(route.kind);
    if (this.stopped || !this.trySend(route, { ...message, ...told })) {
      this.observe({ type: 'dropped', reason: 'undeliverable', what: `${told.protocol}.${told.method} to ${actor}` });
    }
  }

  nextId(): number {
    return ++this.lastId;
  }

  get(id: number): OutgoingCall | undefined {
    return this.open.get(id);
  }

  /** Fails every call to a node, from now on at once. */
  nodeGone(address: NodeAddress): void {
    this.gone.add(nodeKey(address));
    if (this.gone.size > GONE_NODES_REMEMBERED) {
      for (const oldest of this.gone) {
        this.gone.delete(oldest);
        break;
      }
    }
    this.failWhere(({ to }) => sameNode(to, address), 'is gone');
  }

  /** Nobody took a call: it fails, or is sent once more by the next sweep. */
  nobodyForCall(id: number): void {
    const call = this.open.get(id);
    if (!call) return;
    if (this.patient) call.undelivered = true;
    else call.fail(new Unavailable(`${call.what} cannot be reached: nobody listens there`));
  }

  /** Nobody took a probe: the calls to that node fail, or the next sweep asks again. */
  nobodyForProbe(is: (address: NodeAddress) => boolean): void {
    if (!this.patient) this.failWhere((call) => call.route.kind === 'nats' && is(call.to), 'is not there any more');
  }

  private get patient(): boolean {
    return this.clock.now() < this.judgeFromMs;
  }

  private failWhere(is: (call: OutgoingCall) => boolean, why: string): void {
    for (const call of [...this.open.values()]) {
      if (is(call)) call.fail(new Unavailable(`${call.what} has failed: the node ${why}`));
    }
  }

  /**
   * Asks all nodes after the calls that are open there, and gives up those of which nothing was heard for too long. `excused` says that
   * nothing could have been heard on a route.
   */
  sweep(excused: (route: Route) => boolean): void {
    const nowMs = this.clock.now();
    const asked: OutgoingCall[] = [];
    for (const call of [...this.open.values()]) {
      if (call.route.kind === 'local') continue;
      if (excused(call.route)) call.heardMs = nowMs;
      if (call.heardMs <= nowMs - limits.CALL_SILENCE_MS) {
        call.abandon(new Unavailable(`${call.what} has been silent for ${limits.CALL_SILENCE_MS} ms`));
      } else if (call.routelessMs !== null && call.routelessMs <= nowMs - ROUTELESS_MS) {
        call.abandon(new Unavailable(`${call.what} was cut off: its connection closed and NATS is not reached`));
      } else if (call.undelivered) {
        call.sendAgain();
      } else {
        asked.push(call);
      }
    }
    this.probe(asked);
  }

  /** Gives calls whose direct route was lost another one, on which they go on if nothing was lost with the old one. */
  reroute(): void {
    const moved: OutgoingCall[] = [];
    for (const call of this.open.values()) {
      if (call.route.open) continue;
      const route = this.routeTo(call.to);
      if (route.open) {
        call.route = route;
        call.routelessMs = null;
        moved.push(call);
      } else if (call.route.kind === 'direct') {
        call.routelessMs ??= this.clock.now();
      }
    }
    this.probe(moved);
  }

  /** The bus is found, by this node. The others have their time to find it too. */
  busFound(): void {
    this.judgeFromMs = this.clock.now() + limits.BUS_GRACE_MS;
    this.reroute();
    this.sweep(({ kind }) => kind === 'nats');
  }

  /** Asks after calls, in one message for each node and route. The node then answers them on that route. */
  private probe(calls: readonly OutgoingCall[]): void {
    const groups = new Map<string, OutgoingCall[]>();
    for (const call of calls) {
      const key = `${nodeKey(call.to)}\n${call.route.name}`;
      const group = groups.get(key);
      if (group) group.push(call);
      else groups.set(key, [call]);
    }
    for (const group of groups.values()) {
      const asked = group.map((call): [number, number] => [call.id, call.read]);
      this.trySend(group[0]!.route, { type: 'probe', from: this.self, calls: asked });
    }
  }

  stop(): void {
    this.stopped = true;
    for (const call of [...this.open.values()]) call.abandon(new Unavailable(`${call.what}: the caller is stopping`));
  }

  refusal(call: OutgoingCall): ShoalError | null {
    if (this.stopped) return new Unavailable(`${call.what}: this actor system has stopped`);
    if (this.gone.has(nodeKey(call.to))) return new Unavailable(`${call.what} cannot be reached: the node is gone`);
    if (this.open.size < limits.CALLS_IN_FLIGHT) return null;
    return new Overloaded(`${call.what}: ${limits.CALLS_IN_FLIGHT} calls of this node are already in flight`);
  }

  opened(call: OutgoingCall): void {
    this.open.set(call.id, call);
  }

  closed(call: OutgoingCall): void {
    this.open.delete(call.id);
  }

  routeTo(node: NodeAddress): Route {
    return this.post.routeTo(node);
  }

  trySend(route: Route, message: NodeMessage): boolean {
    try {
      route.toNode(message);
      return true;
    } catch {
      return false;
    }
  }

  dropped(reason: 'malformed' | 'duplicate', what: string): void {
    this.observe({ type: 'dropped', reason, what });
  }
}
