import type { Clock } from '../clock.js';
import { Overloaded, Unavailable } from '../errors.js';
import * as limits from '../limits.js';
import { type CallMessage, type NodeAddress, type NodeMessage, nodeKey, sameNode } from './envelope.js';
import type { ObserveActors } from './event.js';
import { IncomingCall, type IncomingOwner } from './incoming-call.js';
import type { Route } from './route.js';

/** Calls that a node remembers at least after their end, so that a message delivered twice is handled once. It remembers at most twice as many. */
const CALLS_REMEMBERED = 16_384;

type Message<T extends NodeMessage['type']> = Extract<NodeMessage, { type: T }>;

/** The calls that have come to the actors of this node and have not ended. */
export class Incoming implements IncomingOwner {
  private readonly open = new Map<string, IncomingCall>();
  /** Calls that were taken in, or cancelled before they came: the newest, and those before them. A full set takes the place of the older one. */
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
    if (this.open.size >= limits.CALLS_IN_FLIGHT) {
      call.fail(new Overloaded(`this node already serves ${limits.CALLS_IN_FLIGHT} calls`));
      return;
    }
    this.open.set(key, call);
    this.deliver(call);
  }

  cancel(message: Message<'cancel'>): void {
    this.remember(callKey(message));
    this.open.get(callKey(message))?.cancel('the caller does not want it any more');
  }

  credit(message: Message<'credit'>): void {
    this.open.get(callKey(message))?.credit(message.read);
  }

  /** The caller asks after its calls. From now on they are answered on the route on which it asked. */
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
      // The next probe is answered again.
    }
  }

  /** Sends what waits, and gives up calls whose callers have been silent for too long. `excused` says that nothing could have been heard. */
  sweep(excused: (route: Route) => boolean): void {
    const nowMs = this.clock.now();
    for (const call of [...this.open.values()]) {
      if (excused(call.route)) call.heardMs = nowMs;
      const silent = call.route.kind !== 'local' && call.heardMs <= nowMs - limits.CALL_SILENCE_MS;
      if (silent) call.lose(`has been silent for ${limits.CALL_SILENCE_MS} ms`);
      else call.retry();
    }
  }

  /** The bus is found, by this node. What it says there before a caller has found it too would be lost. */
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
      if (sameNode(call.message.from, address)) call.lose('is gone');
    }
  }

  stop(): void {
    for (const call of [...this.open.values()]) call.fail(new Unavailable('the node is stopping'));
  }

  closed(call: IncomingCall): void {
    this.open.delete(call.key);
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
