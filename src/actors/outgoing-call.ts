import { setMaxListeners } from 'node:events';
import type { Clock, Timer } from '../clock.js';
import { Cancelled, DeadlineExceeded, fromWire, InternalError, ShoalError, Unavailable } from '../errors.js';
import * as limits from '../limits.js';
import type { ActorAddress, AnswerMessage, CallMessage, NodeAddress, NodeMessage } from './envelope.js';
import type { Route } from './route.js';

/** A call to another node, from its caller's side. */

export interface CallOptions {
  /** Gives the call up when it aborts: the caller gets Cancelled at once, the actor's signal aborts. */
  readonly signal?: AbortSignal | undefined;
  /** After it the caller gets DeadlineExceeded. For ever by default; a lost node is noticed in any case. */
  readonly timeoutMs?: number | undefined;
}

/** What becomes of a call. After `answer`, `end` or `fail` nothing more comes. */
export interface Receiver {
  answer(value: unknown): void;
  items(items: readonly unknown[]): void;
  end(): void;
  fail(error: ShoalError): void;
}

export type CallRequest = Pick<CallMessage, 'protocol' | 'method' | 'request'> & { kind: 'ask' | 'stream' };

/** What a call needs of the calls' keeper. */
export interface CallOwner {
  readonly self: NodeAddress;
  readonly clock: Clock;
  /** Why a call cannot be made; null if it can. */
  refusal(call: OutgoingCall): ShoalError | null;
  opened(call: OutgoingCall): void;
  closed(call: OutgoingCall): void;
  routeTo(node: NodeAddress): Route;
  /** For messages whose loss the sweep makes good. */
  trySend(route: Route, message: NodeMessage): boolean;
  dropped(reason: 'malformed' | 'duplicate', what: string): void;
}

/** A call of this node that has not ended. */
export class OutgoingCall {
  /** Items that have arrived, and that the reader has taken. */
  arrived = 0;
  read = 0;
  heardMs: number;
  /** Nobody was there to take it. */
  undelivered = false;
  /** All messages of the call go this way, so that they keep their order, until it is lost. */
  route: Route;
  /** Since when there has been no open route; null while there is one. */
  routelessMs: number | null = null;
  private readonly begunMs: number;
  private credited = 0;
  private deadline: Timer | null = null;
  private onAbort: (() => void) | null = null;
  private open = true;

  constructor(
    readonly id: number,
    readonly to: ActorAddress,
    readonly asked: CallRequest,
    private readonly options: CallOptions,
    private readonly receiver: Receiver,
    private readonly owner: CallOwner,
  ) {
    this.begunMs = owner.clock.now();
    this.heardMs = this.begunMs;
    this.route = owner.routeTo(to);
  }

  get what(): string {
    return `${this.asked.protocol}.${this.asked.method} of ${this.to.actor} on ${this.to.node}`;
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
    if (timeoutMs !== undefined) {
      this.deadline = this.owner.clock.after(timeoutMs, () => this.abandon(this.late(timeoutMs)));
    }
    if (signal) {
      // Any number of calls may share a signal; Node takes more than ten listeners for a leak.
      setMaxListeners(0, signal);
      this.onAbort = () => this.abandon(this.cancelled());
      signal.addEventListener('abort', this.onAbort, { once: true });
    }
  }

  /** Sends a call that nobody took once more, and if it cannot be sent now, with the next sweep. */
  sendAgain(): void {
    this.route = this.owner.routeTo(this.to);
    this.undelivered = this.trySend() !== null;
  }

  receive(message: AnswerMessage): void {
    this.heardMs = this.owner.clock.now();
    const streaming = this.asked.kind === 'stream';
    if (message.type === 'failure') {
      this.fail(fromWire(message.error));
    } else if (message.type === 'answer' && !streaming) {
      this.close();
      this.receiver.answer(message.value);
    } else if (message.type === 'items' && streaming) {
      this.take(message.first, message.items);
    } else if (message.type === 'end' && streaming) {
      this.end(message.items);
    } else {
      this.owner.dropped('malformed', `${message.type} for ${this.what}`);
    }
  }

  /** What the actor's node says of the call when it is asked. */
  alive(sent: number | null): void {
    this.heardMs = this.owner.clock.now();
    if (sent === null) this.fail(new Unavailable(`${this.what} is not known there: its answer, or the call, was lost`));
    else if (sent > this.arrived) this.gap(sent);
  }

  /** The reader has taken one item more. */
  took(): void {
    this.read++;
    if (!this.open || this.read - this.credited < limits.STREAM_WINDOW_ITEMS / 2) return;
    this.credited = this.read;
    this.owner.trySend(this.route, { type: 'credit', id: this.id, from: this.owner.self, read: this.read });
  }

  /** Ends the call from this side, and tells the actor. */
  abandon(error: ShoalError): void {
    if (!this.open) return;
    this.owner.trySend(this.route, { type: 'cancel', id: this.id, from: this.owner.self });
    this.fail(error);
  }

  fail(error: ShoalError): void {
    if (!this.open) return;
    this.close();
    this.receiver.fail(error);
  }

  private refusal(): ShoalError | null {
    const { signal, timeoutMs } = this.options;
    if (signal?.aborted) return this.cancelled();
    if (timeoutMs !== undefined && timeoutMs <= 0) return this.late(timeoutMs);
    return this.owner.refusal(this);
  }

  private trySend(): ShoalError | null {
    const { to, id, asked, deadlineMs } = this;
    const { self } = this.owner;
    try {
      this.route.toNode({ type: 'call', id, from: self, actor: to.actor, deadlineMs, ...asked });
      return null;
    } catch (error) {
      if (!(error instanceof ShoalError))
        return new InternalError(error instanceof Error ? error.message : String(error));
      return fromWire({ ...error.toWire(), message: `${this.what}: ${error.message}` });
    }
  }

  /** What is left of its time. */
  private get deadlineMs(): number | null {
    const { timeoutMs } = this.options;
    return timeoutMs === undefined ? null : Math.max(this.begunMs + timeoutMs - this.owner.clock.now(), 0);
  }

  private take(first: number, items: readonly unknown[]): void {
    if (first > this.arrived) {
      this.gap(first);
      return;
    }
    // What has arrived before is a message delivered twice.
    const fresh = items.slice(this.arrived - first);
    if (fresh.length === 0) this.owner.dropped('duplicate', `items of ${this.what}`);
    this.arrived += fresh.length;
    if (this.arrived - this.read > limits.STREAM_WINDOW_ITEMS) {
      this.abandon(new InternalError(`${this.what} sent more than ${limits.STREAM_WINDOW_ITEMS} items unasked`));
      return;
    }
    this.receiver.items(fresh);
  }

  private end(sent: number): void {
    if (sent > this.arrived) {
      this.gap(sent);
      return;
    }
    this.close();
    this.receiver.end();
  }

  private gap(sent: number): void {
    this.abandon(new Unavailable(`items ${this.arrived} to ${sent - 1} of ${this.what} were lost on the way`));
  }

  private close(): void {
    this.open = false;
    this.deadline?.cancel();
    if (this.onAbort) this.options.signal?.removeEventListener('abort', this.onAbort);
    this.owner.closed(this);
  }

  private cancelled(): Cancelled {
    return new Cancelled(`${this.what} was cancelled by its caller`);
  }

  private late(timeoutMs: number): DeadlineExceeded {
    return new DeadlineExceeded(`${this.what} did not finish within ${timeoutMs} ms`);
  }
}
