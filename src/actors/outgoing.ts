import type { Clock, Timer } from '../clock.js';
import { Overloaded, type ShoalError, Unavailable, Unheard } from '../errors.js';
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

/** The calls of this node to actors. */

/** How long a call whose direct link closed while the bus is lost waits for word from its node over another route. */
const CUT_OFF_MS = 1_000;
/** Limit on the remembered incarnations that are gone; a call to one of them fails at once. */
const GONE_NODES_REMEMBERED = 4_096;

/** The open calls of this node to actors, of this node and of others. */
/** What is known of other nodes, and how long they may be silent. */
export interface NodePatience {
  /** When a node last said that it lives; null if it is unknown. */
  heardMs(node: NodeAddress): number | null;
  /** Silence after which a call is lost. */
  readonly silenceMs: number;
}

export class Outgoing implements CallOwner {
  private readonly open = new Map<number, OutgoingCall>();
  private readonly gone = new Set<string>();
  /** Nodes that the bus reported as absent a moment ago, and whether they were heard since. */
  private readonly doubts = new Map<string, { heard: boolean; readonly timer: Timer }>();
  private lastId = 0;
  private stopped = false;
  /** Until this time a node that does not listen may not have found the bus again yet, so its calls do not fail. */
  private judgeFromMs = 0;

  constructor(
    readonly self: NodeAddress,
    readonly clock: Clock,
    private readonly post: Post,
    private readonly observe: ObserveActors,
    private readonly onCall: (path: RouteKind) => void,
    private readonly nodes: NodePatience,
  ) {}

  call(to: ActorAddress, request: CallRequest, options: CallOptions, receiver: Receiver): OutgoingCall {
    const call = new OutgoingCall(this.nextId(), to, request, options, receiver, this);
    this.onCall(call.route.kind);
    call.begin();
    return call;
  }

  tell(to: ActorAddress, request: Pick<CallMessage, 'protocol' | 'method' | 'request'>): void {
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
    if (this.stopped || !this.trySend(route, { ...message, ...request })) {
      const what = `${request.protocol}.${request.method} to ${actor}`;
      this.observe({ type: 'dropped', reason: 'undeliverable', what });
    }
  }

  nextId(): number {
    return ++this.lastId;
  }

  get(id: number): OutgoingCall | undefined {
    return this.open.get(id);
  }

  /** Fails all calls to an incarnation of a node, including later ones, until `nodeBack`. */
  nodeGone(address: NodeAddress): void {
    this.gone.add(nodeKey(address));
    if (this.gone.size > GONE_NODES_REMEMBERED) {
      for (const oldest of this.gone) {
        this.gone.delete(oldest);
        break;
      }
    }
    const calls = [...this.open.values()].filter(({ to }) => sameNode(to, address));
    this.failAll(calls, 'is gone');
  }

  /** Allows calls to an incarnation that was taken for gone. */
  nodeBack(address: NodeAddress): void {
    this.gone.delete(nodeKey(address));
  }

  /**
   * Handles a report of the bus that a node does not listen. Anyone on the bus can forge the report, but not the close of a direct link: after that,
   * the report fails the node's calls over the bus. Otherwise the node is probed, and its calls fail if it stays silent. A node that announced itself
   * lately gets as long as before a suspicion, because its event loop may be busy. Soon after the bus was found, the node may not have reconnected:
   * the next sweep then sends unanswered calls again. Each call to an absent node causes a report, so further reports during a doubt cost nothing.
   */
  reportedAbsent(node: NodeAddress): void {
    if (this.doubts.has(nodeKey(node))) return;
    const calls = this.onBus(node);
    if (calls.length === 0) return;
    if (this.clock.now() < this.judgeFromMs) {
      for (const call of calls) call.undelivered ||= !call.answered;
    } else if (calls.some(({ cutOffMs }) => cutOffMs !== null)) {
      this.leaveBus(node);
    } else {
      this.doubt(node, limits.PROBE_TIMEOUT_MS);
      this.probe(calls);
    }
  }

  /** A node is not on the bus: its calls there go on over its direct link if one is open, and fail otherwise. */
  private leaveBus(node: NodeAddress): void {
    const calls = this.onBus(node);
    if (this.routeTo(node).kind === 'direct') this.move(calls);
    else this.failAll(calls, 'is not on the bus');
  }

  /** Waits for a message from a node. Without one, and without a recent announcement, the node's calls leave the bus. */
  private doubt(node: NodeAddress, waitMs: number): void {
    const key = nodeKey(node);
    const sinceMs = this.clock.now();
    const timer = this.clock.after(waitMs, () => {
      const heard = this.doubts.get(key)!.heard;
      this.doubts.delete(key);
      // A timer that is late says that this process stood still: the node's word may be among what it has not read yet.
      const nowMs = this.clock.now();
      if (heard || nowMs - sinceMs >= 2 * limits.PROBE_TIMEOUT_MS) return;
      const leftMs = (this.nodes.heardMs(node) ?? Number.NEGATIVE_INFINITY) + limits.SUSPECT_AFTER_MS - nowMs;
      if (leftMs > 0) this.doubtOn(node, Math.min(leftMs, limits.PROBE_TIMEOUT_MS));
      else this.leaveBus(node);
    });
    this.doubts.set(key, { heard: false, timer });
  }

  /** Probes a node again that announced itself lately but did not answer a call. */
  private doubtOn(node: NodeAddress, waitMs: number): void {
    const calls = this.onBus(node);
    if (calls.length === 0) return;
    this.doubt(node, waitMs);
    this.probe(calls);
  }

  /** The open calls to a node over the bus. */
  private onBus(node: NodeAddress): OutgoingCall[] {
    return [...this.open.values()].filter(({ route, to }) => route.kind === 'nats' && sameNode(to, node));
  }

  heard(node: NodeAddress): void {
    if (this.doubts.size === 0) return;
    const doubt = this.doubts.get(nodeKey(node));
    if (doubt) doubt.heard = true;
  }

  private failAll(calls: readonly OutgoingCall[], why: string): void {
    for (const call of calls) call.fail(new Unheard(`cannot finish ${call.label}: the node ${why}`));
  }

  /**
   * Probes all open calls at their nodes, and fails those that have been silent or without a route for too long. `excused` tells whether a
   * route could carry no message, so that silence proves nothing.
   */
  sweep(excused: (route: Route) => boolean): void {
    const nowMs = this.clock.now();
    const { silenceMs } = this.nodes;
    const probed: OutgoingCall[] = [];
    for (const call of [...this.open.values()]) {
      if (call.route.kind === 'local') continue;
      if (excused(call.route)) call.heardMs = nowMs;
      if (call.heardMs <= nowMs - silenceMs) {
        const silence = `its node has been silent for ${silenceMs} ms`;
        call.giveUp(new Unheard(`cannot finish ${call.label}: ${silence}`));
      } else if (!call.route.open && call.cutOffMs !== null && call.cutOffMs <= nowMs - CUT_OFF_MS) {
        const cause = 'its direct link closed and NATS is not connected';
        call.giveUp(new Unheard(`cannot finish ${call.label}: ${cause}`));
      } else {
        if (call.undelivered) call.sendAgain();
        probed.push(call);
      }
    }
    this.probe(probed);
  }

  /** Moves calls whose route closed to another open route. They continue there unless messages were lost, which a probe detects. */
  reroute(): void {
    const moved: OutgoingCall[] = [];
    for (const call of this.open.values()) {
      if (call.route.open) continue;
      // Also if the bus takes over: if it is lost before the node answers there, only this tells that the node may have died.
      if (call.route.kind === 'direct') this.cutOff(call);
      if (this.routeTo(call.to).open) moved.push(call);
    }
    this.move(moved);
  }

  /** The next report that the node is absent counts at once. */
  private cutOff(call: OutgoingCall): void {
    call.cutOffMs ??= this.clock.now();
    const key = nodeKey(call.to);
    this.doubts.get(key)?.timer.cancel();
    this.doubts.delete(key);
  }

  /** Continues calls on the best route to their nodes. */
  private move(calls: readonly OutgoingCall[]): void {
    for (const call of calls) {
      if (call.undelivered) call.sendAgain();
      else call.route = this.routeTo(call.to);
    }
    this.probe(calls);
  }

  /** This node has found the bus again. Other nodes get `BUS_GRACE_MS` to find it too. */
  busFound(): void {
    this.judgeFromMs = this.clock.now() + limits.BUS_GRACE_MS;
    this.reroute();
    this.sweep(({ kind }) => kind === 'nats');
  }

  /** Probes calls, with one message per node and route. The node then answers the calls on that route. */
  private probe(calls: readonly OutgoingCall[]): void {
    const groups = new Map<string, OutgoingCall[]>();
    for (const call of calls) {
      const key = `${nodeKey(call.to)}\n${call.route.name}`;
      const group = groups.get(key);
      if (group) group.push(call);
      else groups.set(key, [call]);
    }
    for (const group of groups.values()) {
      const probed = group.map((call): [number, number] => [call.id, call.read]);
      this.trySend(group[0]!.route, { type: 'probe', from: this.self, calls: probed });
    }
  }

  stop(): void {
    this.stopped = true;
    for (const { timer } of this.doubts.values()) timer.cancel();
    for (const call of [...this.open.values()]) {
      call.giveUp(new Unavailable(`cannot finish ${call.label}: the caller is stopping`));
    }
  }

  refusal(call: OutgoingCall): ShoalError | null {
    if (this.stopped) return new Unavailable(`cannot call ${call.label}: this actor system has stopped`);
    if (this.gone.has(nodeKey(call.to))) return new Unheard(`cannot call ${call.label}: the node is gone`);
    if (this.open.size < limits.CALLS_IN_FLIGHT) return null;
    return new Overloaded(`cannot call ${call.label}: this node already has ${limits.CALLS_IN_FLIGHT} calls in flight`);
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
