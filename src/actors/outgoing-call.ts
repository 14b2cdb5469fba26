import { setMaxListeners } from 'node:events';
import type { Clock, Timer } from '../clock.js';
import { Cancelled, DeadlineExceeded, fromWire, InternalError, ShoalError, Unavailable, Unheard } from '../errors.js';
import * as limits from '../limits.js';
import type { ActorAddress, AnswerMessage, CallMessage, NodeAddress, NodeMessage } from './envelope.js';
import type { Route } from './route.js';

/** A call from this node to an actor. */

export interface CallOptions {
  /** Cancels the call when it aborts: the call fails with Cancelled at once, and the handler's signal aborts. */
  readonly signal?: AbortSignal | undefined;
  /** The call fails with DeadlineExceeded after this time. No limit by default; the loss of the actor's node ends the call in any case. */
  readonly timeoutMs?: number | undefined;
  /** The `traceparent` with which the actor goes on with a trace. */
  readonly trace?: string | null | undefined;
  /** How errors name the call. Default: the protocol, method and actor. */
  readonly label?: string | undefined;
}

/** Handlers for the outcome of a call. `answer`, `end` or `fail` is the last one called. */
export interface Receiver {
  answer(value: unknown): void;
  items(items: readonly unknown[]): void;
  end(): void;
  fail(error: ShoalError): void;
}

export type CallRequest = Pick<CallMessage, 'protocol' | 'method' | 'request'> & { kind: 'ask' | 'stream' };

/** The part of `Outgoing` that a call uses. */
export interface CallOwner {
  readonly self: NodeAddress;
  readonly clock: Clock;
  /** The reason why a call cannot be made; null if it can. */
  refusal(call: OutgoingCall): ShoalError | null;
  opened(call: OutgoingCall): void;
  closed(call: OutgoingCall): void;
  /** A message for a call arrived from this node. */
  heard(node: NodeAddress): void;
  routeTo(node: NodeAddress): Route;
  /** Sends a message whose loss a later probe repairs. Returns false if the message cannot be sent. */
  trySend(route: Route, message: NodeMessage): boolean;
  dropped(reason: 'malformed' | 'duplicate', what: string): void;
}

/** A call from this node to an actor, from its start to its end. */
export class OutgoingCall {
  /** Items that have arrived. */
  arrived = 0;
  /** Items that the reader has consumed. */
  read = 0;
  /** When the actor's node was last heard of this call. */
  heardMs: number;
  /** Anything was heard of the call. */
  answered = false;
  /** The node may not have got the call, which the next sweep sends again. */
  undelivered = false;
  /** The route of all messages of the call until it closes, so that they keep their order. */
  route: Route;
  /** When the call's direct link closed; null if it is open, or if the node has been heard over another route since. */
  cutOffMs: number | null = null;
  private readonly begunMs: number;
  private credited = 0;
  private deadline: Timer | null = null;
  private onAbort: (() => void) | null = null;
  private open = true;

  constructor(
    readonly id: number,
    readonly to: ActorAddress,
    readonly request: CallRequest,
    private readonly options: CallOptions,
    private readonly receiver: Receiver,
    private readonly owner: CallOwner,
  ) {
    this.begunMs = owner.clock.now();
    this.heardMs = this.begunMs;
    this.route = owner.routeTo(to);
  }

  /** The call's name in messages. */
  get label(): string {
    return (
      this.options.label ?? `${this.request.protocol}.${this.request.method} of ${this.to.actor} on ${this.to.node}`
    );
  }

  /** Sends the call, or fails it at once. */
  begin(): void {
    const refusal = this.refusal() ?? this.trySend();
    if (refusal) {
      this.fail(refusal);
      return;
    }
    this.owner.opened(this);
    const { signal, timeoutMs } = this.options;
    if (timeoutMs !== undefined && timeoutMs < Number.POSITIVE_INFINITY) {
      this.deadline = this.owner.clock.after(timeoutMs, () => this.giveUp(this.late(timeoutMs)));
    }
    if (signal) {
      // Many calls may share a signal, and Node warns of a leak above ten listeners.
      setMaxListeners(0, signal);
      this.onAbort = () => this.giveUp(this.cancelled());
      signal.addEventListener('abort', this.onAbort, { once: true });
    }
  }

  /** Sends an undelivered call again. If it cannot be sent now, it stays undelivered. */
  sendAgain(): void {
    this.route = this.owner.routeTo(this.to);
    this.undelivered = this.trySend() !== null;
  }

  receive(message: AnswerMessage): void {
    this.heard();
    const streaming = this.request.kind === 'stream';
    if (message.type === 'failure') {
      this.fail(fromWire(message.error));
    } else if (message.type === 'answer' && !streaming) {
      this.close();
      this.receiver.answer(message.value);
    } else if (message.type === 'items' && streaming) {
      this.receiveItems(message.first, message.items);
    } else if (message.type === 'end' && streaming) {
      this.end(message.items);
    } else {
      this.owner.dropped('malformed', `${message.type} for ${this.label}`);
    }
  }

  /** The actor's node answered a probe: it has sent `sent` items, or does not know the call (null). */
  alive(sent: number | null): void {
    this.heard();
    if (sent === null) this.fail(new Unheard(`cannot finish ${this.label}: the call or its answer was lost`));
    else if (sent > this.arrived) this.itemsLost(sent);
  }

  /** The reader has consumed one more item. Sends credit when half of the window is consumed. */
  itemRead(): void {
    this.read++;
    if (!this.open || this.read - this.credited < limits.STREAM_WINDOW_ITEMS / 2) return;
    this.credited = this.read;
    this.owner.trySend(this.route, { type: 'credit', id: this.id, from: this.owner.self, read: this.read });
  }

  /** The reader wants no more of the stream: cancels the call, unless it has ended. */
  leave(): void {
    if (this.open) this.giveUp(new Cancelled('the reader left the stream'));
  }

  /** Fails the call, and cancels it on the actor's node. */
  giveUp(error: ShoalError): void {
    if (!this.open) return;
    this.owner.trySend(this.route, { type: 'cancel', id: this.id, from: this.owner.self });
    this.fail(error);
  }

  fail(error: ShoalError): void {
    if (!this.open) return;
    this.close();
    this.receiver.fail(error);
  }

  private heard(): void {
    this.heardMs = this.owner.clock.now();
    this.cutOffMs = null;
    this.answered = true;
    this.undelivered = false;
    this.owner.heard(this.to);
  }

  private refusal(): ShoalError | null {
    const { signal, timeoutMs } = this.options;
    if (signal?.aborted) return this.cancelled();
    if (timeoutMs !== undefined && !(timeoutMs > 0)) return this.late(timeoutMs);
    return this.owner.refusal(this);
  }

  private trySend(): ShoalError | null {
    const { to, id, request, deadlineMs } = this;
    const { self } = this.owner;
    const { trace } = this.options;
    try {
      const traced = trace ? { trace } : {};
      this.route.toNode({ type: 'call', id, from: self, actor: to.actor, deadlineMs, ...request, ...traced });
      return null;
    } catch (error) {
      if (!(error instanceof ShoalError))
        return new InternalError(error instanceof Error ? error.message : String(error));
      const message = `${this.label}: ${error.message}`;
      return error instanceof Unavailable ? new Unheard(message) : fromWire({ ...error.toWire(), message });
    }
  }

  /** Time left until the deadline; null without one: an infinite time does not travel. */
  private get deadlineMs(): number | null {
    const { timeoutMs } = this.options;
    if (timeoutMs === undefined || timeoutMs === Number.POSITIVE_INFINITY) return null;
    return Math.max(this.begunMs + timeoutMs - this.owner.clock.now(), 0);
  }

  private receiveItems(first: number, items: readonly unknown[]): void {
    if (first > this.arrived) {
      this.itemsLost(first);
      return;
    }
    // Items before `arrived` belong to a message that was delivered twice.
    const fresh = items.slice(this.arrived - first);
    if (fresh.length === 0) this.owner.dropped('duplicate', `items of ${this.label}`);
    this.arrived += fresh.length;
    if (this.arrived - this.read > limits.STREAM_WINDOW_ITEMS) {
      const window = limits.STREAM_WINDOW_ITEMS;
      this.giveUp(new InternalError(`${this.label} exceeded the window of ${window} items`));
      return;
    }
    this.receiver.items(fresh);
  }

  private end(sent: number): void {
    if (sent > this.arrived) {
      this.itemsLost(sent);
      return;
    }
    this.close();
    this.receiver.end();
  }

  private itemsLost(sent: number): void {
    const lost = `items ${this.arrived} to ${sent - 1}`;
    this.giveUp(new Unheard(`cannot finish ${this.label}: ${lost} were lost`));
  }

  private close(): void {
    this.open = false;
    this.deadline?.cancel();
    if (this.onAbort) this.options.signal?.removeEventListener('abort', this.onAbort);
    this.owner.closed(this);
  }

  private cancelled(): Cancelled {
    return new Cancelled(`${this.label} was cancelled by its caller`);
  }

  private late(timeoutMs: number): DeadlineExceeded {
    return new DeadlineExceeded(`${this.label} did not finish within ${Math.round(timeoutMs)} ms`);
  }
}
