import type { Clock } from '../clock.js';
import { Overloaded, type ShoalError, Unavailable } from '../errors.js';
import * as limits from '../limits.js';
import { type CallMessage, type NodeAddress, type NodeMessage, nodeKey } from './envelope.js';
import type { ObserveActors } from './event.js';
import { IncomingCall, type IncomingOwner } from './incoming-call.js';
import { KnownCalls } from './known-calls.js';
import type { Route } from './route.js';

/** The calls to the actors of this node. */

/** Limit on the open calls of all callers. One caller has at most `CALLS_IN_FLIGHT`, so that a caller that reads no answers leaves room for others. */
const CALLS_SERVED = 4 * limits.CALLS_IN_FLIGHT;

type Message<T extends NodeMessage['type']> = Extract<NodeMessage, { type: T }>;

/** The open calls to the actors of this node. */
export class Incoming implements IncomingOwner {
  /** By caller and id. A caller without an open call has no entry. */
  private readonly open = new Map<string, Map<number, IncomingCall>>();
  private openCalls = 0;
  /** Calls that have arrived, or were cancelled before they arrived. */
  private readonly known = new KnownCalls();

  constructor(
    readonly clock: Clock,
    private readonly self: NodeAddress,
    private readonly observe: ObserveActors,
    /** Hands a new call to its actor, or fails it. */
    private readonly deliver: (call: IncomingCall) => void,
    /** Silence of a caller after which its calls end. */
    private readonly silenceMs: number,
  ) {}

  receiveCall(message: CallMessage, route: Route): void {
    const caller = nodeKey(message.from);
    const { id } = message;
    const ofCaller = this.open.get(caller) ?? new Map<number, IncomingCall>();
    // An open call is known, however many have arrived since.
    const familiarity = ofCaller.has(id) ? 'known' : this.known.of(caller, id);
    if (familiarity === 'known') {
      this.observe({ type: 'dropped', reason: 'duplicate', what: `${message.protocol}.${message.method}` });
      return;
    }
    this.known.add(caller, id);
    const call = new IncomingCall(caller, message, route, this);
    if (familiarity === 'forgotten') {
      call.fail(new Unavailable('the call was sent again so late that nobody knows whether it has run'));
      return;
    }
    if (this.openCalls >= CALLS_SERVED || ofCaller.size >= limits.CALLS_IN_FLIGHT) {
      call.fail(
        new Overloaded(
          `cannot accept the call: this node already serves ${this.openCalls} calls, ${ofCaller.size} of them of this caller`,
        ),
      );
      return;
    }
    this.open.set(caller, ofCaller);
    ofCaller.set(id, call);
    this.openCalls++;
    this.deliver(call);
  }

  cancel(message: Message<'cancel'>): void {
    const caller = nodeKey(message.from);
    this.known.add(caller, message.id);
    this.open.get(caller)?.get(message.id)?.cancel('at the request of the caller');
  }

  credit(message: Message<'credit'>): void {
    this.open.get(nodeKey(message.from))?.get(message.id)?.credit(message.read);
  }

  /**
   * Answers a probe, and moves the probed calls to the route on which it arrived. The caller takes a call that is not open here for lost, so one that
   * still arrives, late on another route, must not run.
   */
  probe(message: Message<'probe'>, route: Route): void {
    const caller = nodeKey(message.from);
    const ofCaller = this.open.get(caller);
    const calls = message.calls.map(([id, read]): [number, number | null] => {
      const call = ofCaller?.get(id);
      if (call === undefined) this.known.add(caller, id);
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
    for (const call of this.all()) {
      if (excused(call.route)) call.heardMs = nowMs;
      const silent = call.route.kind !== 'local' && call.heardMs <= nowMs - this.silenceMs;
      if (silent) call.callerLost(`has been silent for ${this.silenceMs} ms`);
      else call.retry();
    }
  }

  /** This node has found the bus again. Answers wait, because those sent before a caller finds the bus too would be lost. */
  busFound(): void {
    const nowMs = this.clock.now();
    for (const call of this.all()) {
      if (call.route.kind !== 'nats') continue;
      call.heardMs = nowMs;
      call.hold(nowMs + limits.BUS_GRACE_MS);
    }
  }

  nodeGone(address: NodeAddress): void {
    for (const call of [...(this.open.get(nodeKey(address))?.values() ?? [])]) call.callerLost('is gone');
  }

  stop(): void {
    for (const call of this.all()) call.fail(new Unavailable('the node is stopping'));
  }

  closed(call: IncomingCall): void {
    const ofCaller = this.open.get(call.caller);
    if (ofCaller?.get(call.message.id) !== call) return;
    ofCaller.delete(call.message.id);
    this.openCalls--;
    if (ofCaller.size === 0) this.open.delete(call.caller);
  }

  lost({ message }: IncomingCall, { message: why }: ShoalError): void {
    const what = `${message.protocol}.${message.method} from ${message.from.node}: ${why}`;
    this.observe({ type: 'dropped', reason: 'undeliverable', what });
  }

  private all(): IncomingCall[] {
    return [...this.open.values()].flatMap((ofCaller) => [...ofCaller.values()]);
  }
}
