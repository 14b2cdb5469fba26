import { Heap } from '../core/heap.js';
import { type BusMessage, type OnBusError, throwLater } from './bus.js';

/**
 * Spreads the messages that come in over turns of the event loop, in their order. A socket hands over megabytes in one turn, which are thousands of
 * announcements in a large fleet, or in a flood, and everything else would wait until all of them are handled.
 */

/** Time for messages in one phase of the event loop, in milliseconds. Those beyond wait for the next turn. @internal exported for tests. */
export const MESSAGE_TURN_MS = 10;
/**
 * Limit on the bytes of messages that wait. Beyond it the oldest ones of the sender that has most of them are lost, as NATS loses those for a client that
 * does not keep up: to handle them all would stop everything else for as long as the flood lasts.
 */
const WAITING_BYTES = 16 * 2 ** 20;
/** Memory of a message that waits, beside its payload. */
const MESSAGE_BYTES = 512;

interface Waiting {
  /** Null once it waits no more: a lost message must not keep its payload until its turn. */
  message: BusMessage | null;
  readonly handler: (message: BusMessage) => void;
  readonly backlog: Backlog;
}

/** The messages of one sender that wait. Each leaves when it is the oldest, by its turn or by a loss. */
interface Backlog {
  readonly sender: string;
  /** Those from `next` on wait, the oldest first. */
  waiting: Waiting[];
  next: number;
  bytes: number;
  heapIndex: number;
}

export class MessageTurns {
  private waiting: Waiting[] = [];
  /** Index of the oldest message that waits. */
  private next = 0;
  private waitingBytes = 0;
  /** Messages that began to wait, and those of them that wait no more, since the start. */
  private begun = 0;
  private over = 0;
  private readonly backlogs = new Map<string, Backlog>();
  /** All backlogs, the one with the most bytes first: a flood may have a sender for each message, and lose one for each that comes. */
  private readonly bySize = new Heap<Backlog>((a, b) => a.bytes > b.bytes);
  /** Time for messages since the last turn began. */
  private spentMs = 0;
  private due = false;

  constructor(
    private readonly onError: OnBusError = throwLater,
    /** A message was lost because too many wait. */
    private readonly onLost: (subject: string) => void = () => {},
    private readonly now: () => number = () => performance.now(),
    private readonly nextTurn: (begin: () => void) => void = setImmediate,
  ) {}

  /** The number of messages that have waited or wait, for `areOver`. */
  get waited(): number {
    return this.begun;
  }

  /** Whether all messages are handled, or lost, that had come when this was `waited`. Those that come later do not count: there may be no end of them. */
  areOver(waited: number): boolean {
    return this.over >= waited;
  }

  private get busy(): boolean {
    return this.next < this.waiting.length;
  }

  /**
   * Handles a message now, or after those that wait. Errors of the handler go to `onError`.
   * @param sender as in `SubscribeOptions`
   */
  take(
    message: BusMessage,
    handler: (message: BusMessage) => void,
    sender: (message: BusMessage) => string | null = ({ subject }) => subject,
  ): void {
    if (!this.busy && this.spentMs < MESSAGE_TURN_MS) {
      const startedMs = this.now();
      this.run(message, handler);
      this.spentMs += this.now() - startedMs;
    } else {
      this.wait(message, handler, sender(message));
      while (this.waitingBytes > WAITING_BYTES) this.loseOne();
    }
    if (this.due) return;
    this.due = true;
    this.nextTurn(() => this.turn());
  }

  private turn(): void {
    this.spentMs = 0;
    for (const startedMs = this.now(); this.busy && this.spentMs < MESSAGE_TURN_MS; ) {
      this.runOldest();
      this.spentMs = this.now() - startedMs;
    }
    this.due = this.busy;
    if (this.due) this.nextTurn(() => this.turn());
  }

  private wait(message: BusMessage, handler: (message: BusMessage) => void, sender: string | null): void {
    if (sender === null) return;
    const backlog = this.backlogOf(sender);
    const one: Waiting = { message, handler, backlog };
    this.waiting.push(one);
    this.begun++;
    backlog.waiting.push(one);
    this.resize(backlog, bytesOf(message));
  }

  private backlogOf(sender: string): Backlog {
    const known = this.backlogs.get(sender);
    if (known) return known;
    const backlog: Backlog = { sender, waiting: [], next: 0, bytes: 0, heapIndex: -1 };
    this.backlogs.set(sender, backlog);
    this.bySize.add(backlog);
    return backlog;
  }

  private resize(backlog: Backlog, bytes: number): void {
    backlog.bytes += bytes;
    this.waitingBytes += bytes;
    this.bySize.moved(backlog);
  }

  /** Takes the oldest message of a sender. */
  private shift(backlog: Backlog): BusMessage {
    const one = backlog.waiting[backlog.next++]!;
    const message = one.message!;
    one.message = null;
    this.resize(backlog, -bytesOf(message));
    if (backlog.next === backlog.waiting.length) {
      this.backlogs.delete(backlog.sender);
      this.bySize.remove(backlog);
    } else if (backlog.next >= backlog.waiting.length / 2) {
      backlog.waiting = backlog.waiting.slice(backlog.next);
      backlog.next = 0;
    }
    return message;
  }

  private loseOne(): void {
    this.onLost(this.shift(this.bySize.first()!).subject);
  }

  private runOldest(): void {
    const { message, handler, backlog } = this.waiting[this.next++]!;
    this.over++;
    if (this.next >= this.waiting.length / 2) {
      this.waiting = this.waiting.slice(this.next);
      this.next = 0;
    }
    if (message === null) return;
    this.shift(backlog);
    this.run(message, handler);
  }

  private run(message: BusMessage, handler: (message: BusMessage) => void): void {
    try {
      handler(message);
    } catch (thrown) {
      this.onError(thrown);
    }
  }
}

function bytesOf({ payload }: BusMessage): number {
  return payload.byteLength + MESSAGE_BYTES;
}
