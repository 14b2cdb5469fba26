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
import type { AnswerMessage, CallMessage } from './envelope.js';
import type { Call } from './protocol.js';
import type { Route } from './route.js';
import { StreamSender } from './stream-sender.js';

/** What a call needs of the calls' keeper. */
export interface IncomingOwner {
  readonly clock: Clock;
  closed(call: IncomingCall): void;
}

/**
 * A call from somewhere to an actor of this node, from its arrival to the last message that answers it. Answers that cannot be sent
 * at the moment are kept, and sent later.
 */
export class IncomingCall {
  heardMs: number;
  /** Items of the stream that have left this node. */
  itemsSent = 0;
  private readonly abort = new AbortController();
  private readonly deadlineAtMs: number | null;
  private readonly deadline: Timer | null;
  private sender: StreamSender | null = null;
  private readonly unsent: AnswerMessage[] = [];
  private heldUntilMs = 0;
  private state: 'open' | 'answered' | 'closed' = 'open';
  /** Called once, when nothing that the actor does for this call counts any more. */
  onSettled: (() => void) | null = null;

  constructor(
    /** Names the call among all that come to this node. */
    readonly key: string,
    readonly message: CallMessage,
    /** On which the caller is answered: that on which it was heard last. */
    public route: Route,
    private readonly owner: IncomingOwner,
  ) {
    const { deadlineMs } = message;
    this.heardMs = owner.clock.now();
    this.deadlineAtMs = deadlineMs === null ? null : this.heardMs + deadlineMs;
    this.deadline = deadlineMs === null ? null : owner.clock.after(deadlineMs, () => this.expire());
  }

  /** As the handler sees it. */
  get call(): Call {
    const deadlineMs = this.deadlineAtMs === null ? null : Math.max(this.deadlineAtMs - this.owner.clock.now(), 0);
    return new HandledCall(this.abort, deadlineMs, this.message.from.node);
  }

  /** False when nobody waits for the answer any more. */
  get wanted(): boolean {
    return this.state === 'open';
  }

  answer(value: unknown): void {
    this.settle({ type: 'answer', value });
  }

  /** Answers with the error, and aborts the handler. */
  fail(error: ShoalError): void {
    this.failWith(error, error);
  }

  /** Answers with what was thrown. Unlike `fail`, it takes errors that are not ours. */
  failWith(thrown: unknown, reason: ShoalError): void {
    if (!this.wanted) return;
    this.abort.abort(reason);
    this.settle({ type: 'failure', error: toWire(thrown) });
  }

  /** Sends the items to the caller. `onThrow` gets what the iterable throws, and then decides about the call. */
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

  /** The caller is there: it has read so many items. */
  credit(read: number): void {
    this.heardMs = this.owner.clock.now();
    this.heldUntilMs = 0;
    this.sender?.credit(read);
    this.retry();
  }

  /** The caller has another route: what waits goes there. */
  moveTo(route: Route): void {
    if (route.name === this.route.name) return;
    this.route = route;
  }

  /** Keeps what is to be sent until the caller is heard, or has had so much time to be. */
  hold(untilMs: number): void {
    this.heldUntilMs = untilMs;
  }

  /** The caller wants no answer. */
  cancel(why: string): void {
    this.abort.abort(new Cancelled(`the call was cancelled: ${why}`));
    this.close();
  }

  /** The caller is gone or cannot be heard. */
  lose(why: string): void {
    this.abort.abort(new Unavailable(`the caller on ${this.message.from.node} ${why}`));
    this.close();
  }

  /** Sends what could not be sent before. */
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
    // What cannot be sent at all has by now been settled as a failure.
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

  /** False if it can be sent later. What can never be sent becomes a failure. */
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
        this.fail(new InternalError(`${protocol}.${method} cannot send its answer: ${why}`));
    }
    return true;
  }
}

/** A call as its handler sees it. */
class HandledCall implements Call {
  constructor(
    private readonly abort: AbortController,
    readonly deadlineMs: number | null,
    readonly from: string,
  ) {}

  /** Made by Node when it is first asked for: it costs as much as all else of a call, and few handlers ask. */
  get signal(): AbortSignal {
    return this.abort.signal;
  }
}
