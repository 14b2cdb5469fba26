import type { Clock, Timer } from '../clock.js';
import {
  Cancelled,
  DeadlineExceeded,
  InternalError,
  Overloaded,
  type ShoalError,
  toWire,
  Unavailable,
} from '../errors.js';
import type { AnswerMessage, CallMessage, NodeAddress } from './envelope.js';
import type { Call } from './protocol.js';
import type { Route } from './route.js';
import { StreamSender } from './stream-sender.js';

/** A call from a caller to an actor of this node. */

/** The part of `Incoming` that a call uses. */
export interface IncomingOwner {
  readonly clock: Clock;
  closed(call: IncomingCall): void;
  /** A tell failed. Its sender does not learn of it. */
  lost(call: IncomingCall, why: ShoalError): void;
}

/** A call to an actor of this node, from its arrival to its last answer. Answers that cannot be sent now are queued and retried. */
export class IncomingCall {
  /** When the caller was last heard. */
  heardMs: number;
  private readonly arrivedMs: number;
  /** Items of the stream sent by this node. */
  itemsSent = 0;
  private readonly abort = new AbortController();
  private readonly deadlineAtMs: number | null;
  private readonly deadline: Timer | null;
  private sender: StreamSender | null = null;
  private readonly unsent: AnswerMessage[] = [];
  private heldUntilMs = 0;
  private state: 'open' | 'answered' | 'closed' = 'open';
  /** Called once, when the call no longer needs the actor: it is answered, failed, cancelled or lost. */
  onSettled: (() => void) | null = null;

  constructor(
    /** The `nodeKey` of the caller. */
    readonly caller: string,
    readonly message: CallMessage,
    /** The route for answers: the one on which the call or its last probe arrived. */
    public route: Route,
    private readonly owner: IncomingOwner,
  ) {
    const { deadlineMs } = message;
    this.arrivedMs = owner.clock.now();
    this.heardMs = this.arrivedMs;
    this.deadlineAtMs = deadlineMs === null ? null : this.heardMs + deadlineMs;
    this.deadline = deadlineMs === null ? null : owner.clock.after(deadlineMs, () => this.expire());
  }

  /** The handler's view of the call. */
  get call(): Call {
    const nowMs = this.owner.clock.now();
    const deadlineMs = this.deadlineAtMs === null ? null : Math.max(this.deadlineAtMs - nowMs, 0);
    const { from, trace } = this.message;
    return new HandledCall(this.abort, deadlineMs, nowMs - this.arrivedMs, from, trace ?? null);
  }

  /** Whether the caller still waits for an answer. */
  get wanted(): boolean {
    return this.state === 'open';
  }

  answer(value: unknown): void {
    this.settle({ type: 'answer', value });
  }

  /** Answers with `error`, and aborts the handler. */
  fail(error: ShoalError): void {
    if (this.wanted && this.message.kind === 'tell') this.owner.lost(this, error);
    this.failWith(error, error);
  }

  /** Answers with `thrown`, which may be any error, and aborts the handler with `reason`. */
  failWith(thrown: unknown, reason: ShoalError): void {
    if (!this.wanted) return;
    this.abort.abort(reason);
    this.settle({ type: 'failure', error: toWire(thrown) });
  }

  /** Sends the items to the caller. `onThrow` receives an error of the iterable, and has to settle the call. */
  stream(iterable: AsyncIterable<unknown>, onThrow: (error: unknown) => void): void {
    const sender = new StreamSender(iterable, {
      pack: (item) => this.route.pack(item),
      items: (first, items) => this.send({ type: 'items', first, items: [...items] }),
      end: (items) => this.settle({ type: 'end', items }),
      failed: onThrow,
    });
    this.sender = sender;
    if (this.wanted) sender.start();
    else sender.close();
  }

  /** The caller is alive and has read `read` items in total. Sends queued answers. */
  credit(read: number): void {
    this.heardMs = this.owner.clock.now();
    this.heldUntilMs = 0;
    this.sender?.credit(read);
    this.retry();
  }

  /** Switches to the caller's new route, also for queued answers. */
  moveTo(route: Route): void {
    if (route.name === this.route.name) return;
    this.route = route;
  }

  /** Queues answers until the caller is heard, at the latest until `untilMs`. */
  hold(untilMs: number): void {
    this.heldUntilMs = untilMs;
  }

  /** Ends the call at the caller's request, without an answer. */
  cancel(why: string): void {
    this.abort.abort(new Cancelled(`the call was cancelled: ${why}`));
    this.close();
  }

  /** Ends the call, without an answer, because the caller is gone or silent. A tell goes on: its sender waits for nothing, and does not probe it. */
  callerLost(why: string): void {
    if (this.message.kind === 'tell') return;
    this.abort.abort(new Unavailable(`the caller on ${this.message.from.node} ${why}`));
    this.close();
  }

  /** Sends the queued answers, in order. */
  retry(): void {
    for (let message = this.unsent[0]; message; message = this.unsent[0]) {
      if (!this.trySend(message)) return;
      this.unsent.shift();
    }
    if (this.state === 'answered') this.close();
  }

  private expire(): void {
    this.fail(new DeadlineExceeded(`${this.message.protocol}.${this.message.method} passed its deadline`));
  }

  private settle(message: AnswerMessage): void {
    if (this.wanted) this.send(message);
    // An answer that can never be sent has already settled the call as a failure.
    if (!this.wanted) return;
    this.state = 'answered';
    this.release();
    if (this.unsent.length === 0) this.close();
  }

  private close(): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.unsent.length = 0;
    this.release();
    this.owner.closed(this);
  }

  private release(): void {
    this.deadline?.cancel();
    this.sender?.close();
    this.onSettled?.();
    this.onSettled = null;
  }

  private send(message: AnswerMessage): void {
    if (this.message.kind === 'tell' || this.state === 'closed') return;
    if (this.unsent.length > 0 || !this.trySend(message)) this.unsent.push(message);
  }

  /** Sends an answer. Returns false if it has to be retried later. An answer that can never be sent becomes a failure. */
  private trySend(message: AnswerMessage): boolean {
    const { id, protocol, method } = this.message;
    if (this.owner.clock.now() < this.heldUntilMs) return false;
    try {
      this.route.toCall(id, message);
      if (message.type === 'items') this.itemsSent = message.first + message.items.length;
    } catch (error) {
      if (error instanceof Unavailable || error instanceof Overloaded) return false;
      const why = error instanceof Error ? error.message : String(error);
      if (message.type !== 'failure')
        this.fail(new InternalError(`cannot send the answer of ${protocol}.${method}: ${why}`));
    }
    return true;
  }
}

/** A call as its handler sees it. */
class HandledCall implements Call {
  constructor(
    private readonly abort: AbortController,
    readonly deadlineMs: number | null,
    readonly waitedMs: number,
    private readonly caller: NodeAddress,
    readonly trace: string | null,
  ) {}

  get from(): string {
    return this.caller.node;
  }

  get incarnation(): string {
    return this.caller.incarnation;
  }

  /** Made by Node when it is first asked for: it costs as much as all else of a call, and few handlers ask. */
  get signal(): AbortSignal {
    return this.abort.signal;
  }
}
