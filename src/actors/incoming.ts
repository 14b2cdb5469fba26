import type { Clock } from '../clock.js';
import { Overloaded, Unavailable } from '../errors.js';
import * as limits from '../limits.js';
import { type CallMessage, type NodeAddress, type NodeMessage, nodeKey, sameNode } from './envelope.js';
import type { ObserveActors } from './event.js';
import { IncomingCall, type IncomingOwner } from './incoming-call.js';
import type { Route } from './route.js';

/** The calls to the actors of this node. */

/**
 * Number of calls that a node remembers after their end, so that a call that is delivered twice runs once. It remembers at most twice as many.
 */
const CALLS_REMEMBERED = 16_384;
/** Limit on the open calls of all callers. One caller has at most `CALLS_IN_FLIGHT`, so that a caller that reads no answers leaves room for others. */
const CALLS_SERVED = 4 * limits.CALLS_IN_FLIGHT;

type Message<T extends NodeMessage['type']> = Extract<NodeMessage, { type: T }>;

/** The open calls to the actors of this node. */
export class Incoming implements IncomingOwner {
  private readonly open = new Map<string, IncomingCall>();
  /** Number of open calls by caller. */
  private readonly openByCaller = new Map<string, number>();
  /** Calls that have arrived, or were cancelled before they arrived: the newest, and those before them. A full set replaces the older one. */
  private seen = new Set<string>();
  private seenBefore = new Set<string>();

  constructor(
    readonly clock: Clock,
    private readonly self: NodeAddress,
    private readonly observe: ObserveActors,
    /** Hands a new call to its actor, or fails it. */
    private readonly deliver: (call: IncomingCall) => void,
  ) {}

  receiveCall(message: CallMessage, route: Route): void {
    const key = callKey(message);
    if (this.seen.has(key) || this.seenBefore.has(key)) {
      this.observe({ type: 'dropped', reason: 'duplicate', what: `${message.protocol}.${message.method}` });
      return;
    }
    this.remember(key);
    const call = new IncomingCall(key, message, route, this);
    const caller = nodeKey(message.from);
    const ofCaller = this.openByCaller.get(caller) ?? 0;
    if (this.open.size >= CALLS_SERVED || ofCaller >= limits.CALLS_IN_FLIGHT) {
      call.fail(
        new Overloaded(
          `cannot accept the call: this node already serves ${this.open.size} calls, ${ofCaller} of them of this caller`,
        ),
      );
      return;
    }
    this.open.set(key, call);
    this.openByCaller.set(caller, ofCaller + 1);
    this.deliver(call);
  }

  cancel(message: Message<'cancel'>): void {
    this.remember(callKey(message));
    this.open.get(callKey(message))?.cancel('at the request of the caller');
  }

  credit(message: Message<'credit'>): void {
    this.open.get(callKey(message))?.credit(message.read);
  }

  /** Answers a probe, and moves the probed calls to the route on which it arrived. */
  probe(message: Message<'probe'>, route: Route): void {
    const { from } = message;
    const calls = message.calls.map(([id, read]): [number, number | null] => {
      const call = this.open.get(callKey({ from, id }));
      call?.moveTo(route);
      call?.credit(read);
      return [id, call?.itemsSent ?? null];
    });
    try {
      route.toNode({ type: 'alive', from: this.self, calls });
    } catch {
      // The caller probes again.
    }
  }

  /** Retries queued answers, and ends the calls of silent callers. `excused` tells whether a route could carry no message, so that silence proves nothing. */
  sweep(excused: (route: Route) => boolean): void {
    const nowMs = this.clock.now();
    for (const call of [...this.open.values()]) {
      if (excused(call.route)) call.heardMs = nowMs;
      const silent = call.route.kind !== 'local' && call.heardMs <= nowMs - limits.CALL_SILENCE_MS;
      if (silent) call.callerLost(`has been silent for ${limits.CALL_SILENCE_MS} ms`);
      else call.retry();
    }
  }

  /** This node has found the bus again. Answers wait, because those sent before a caller finds the bus too would be lost. */
  busFound(): void {
    const nowMs = this.clock.now();
    for (const call of this.open.values()) {
      if (call.route.kind !== 'nats') continue;
      call.heardMs = nowMs;
      call.hold(nowMs + limits.BUS_GRACE_MS);
    }
  }

  nodeGone(address: NodeAddress): void {
    for (const call of [...this.open.values()]) {
      if (sameNode(call.message.from, address)) call.callerLost('is gone');
    }
  }

  stop(): void {
    for (const call of [...this.open.values()]) call.fail(new Unavailable('the node is stopping'));
  }

  closed(call: IncomingCall): void {
    if (!this.open.delete(call.key)) return;
    const caller = nodeKey(call.message.from);
    const left = this.openByCaller.get(caller)! - 1;
    if (left > 0) this.openByCaller.set(caller, left);
    else this.openByCaller.delete(caller);
  }

  private remember(key: string): void {
    this.seen.add(key);
    if (this.seen.size < CALLS_REMEMBERED) return;
    this.seenBefore = this.seen;
    this.seen = new Set();
  }
}

function callKey(call: { from: NodeAddress; id: number }): string {
  return `${nodeKey(call.from)}\n${call.id}`;
}
