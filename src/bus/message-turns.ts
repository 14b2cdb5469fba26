import { type BusMessage, type OnBusError, throwLater } from './bus.js';

/**
 * Spreads the messages that come in over turns of the event loop, in their order. A socket hands over megabytes in one turn, which are thousands of
 * announcements in a large fleet, or in a flood, and everything else would wait until all of them are handled.
 */

/** Time for messages in one phase of the event loop, in milliseconds. Those beyond wait for the next turn. @internal exported for tests. */
export const MESSAGE_TURN_MS = 10;
/**
 * Limit on the bytes of messages that wait. Beyond it the oldest ones of the subject that has most of them are lost, as NATS loses those for a client that
 * does not keep up: to handle them all would stop everything else for as long as the flood lasts.
 */
const WAITING_BYTES = 16 * 2 ** 20;
/** Memory of a message that waits, beside its payload. */
const MESSAGE_BYTES = 512;

interface Waiting {
  readonly message: BusMessage;
  readonly handler: (message: BusMessage) => void;
  /** Whether it waits no more. */
  over: boolean;
}

/** The messages of one subject that wait, the oldest first. */
interface Backlog {
  readonly waiting: Set<Waiting>;
  bytes: number;
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

  /** Handles a message now, or after those that wait. Errors of the handler go to `onError`. */
  take(message: BusMessage, handler: (message: BusMessage) => void): void {
    if (!this.busy && this.spentMs < MESSAGE_TURN_MS) {
      this.run(message, handler);
    } else {
      this.wait({ message, handler, over: false });
      while (this.waitingBytes > WAITING_BYTES) this.loseOne();
    }
    if (this.due) return;
    this.due = true;
    this.nextTurn(() => this.turn());
  }

  private turn(): void {
    this.spentMs = 0;
    while (this.busy && this.spentMs < MESSAGE_TURN_MS) this.runOldest();
    this.due = this.busy;
    if (this.due) this.nextTurn(() => this.turn());
  }

  private wait(one: Waiting): void {
    const { subject } = one.message;
    const backlog = this.backlogs.get(subject) ?? { waiting: new Set(), bytes: 0 };
    this.backlogs.set(subject, backlog);
    this.waiting.push(one);
    this.begun++;
    backlog.waiting.add(one);
    backlog.bytes += bytesOf(one.message);
    this.waitingBytes += bytesOf(one.message);
  }

  private leave(one: Waiting): void {
    const { subject } = one.message;
    const backlog = this.backlogs.get(subject)!;
    one.over = true;
    backlog.waiting.delete(one);
    backlog.bytes -= bytesOf(one.message);
    this.waitingBytes -= bytesOf(one.message);
    if (backlog.waiting.size === 0) this.backlogs.delete(subject);
  }

  private loseOne(): void {
    let most: Backlog | null = null;
    for (const backlog of this.backlogs.values()) if (most === null || backlog.bytes > most.bytes) most = backlog;
    const [oldest] = most?.waiting ?? [];
    if (oldest === undefined) return;
    this.leave(oldest);
    this.onLost(oldest.message.subject);
  }

  private runOldest(): void {
    const one = this.waiting[this.next++]!;
    this.over++;
    if (this.next >= this.waiting.length / 2) {
      this.waiting = this.waiting.slice(this.next);
      this.next = 0;
    }
    if (one.over) return;
    this.leave(one);
    this.run(one.message, one.handler);
  }

  private run(message: BusMessage, handler: (message: BusMessage) => void): void {
    const startedMs = this.now();
    try {
      handler(message);
    } catch (thrown) {
      this.onError(thrown);
    }
    this.spentMs += this.now() - startedMs;
  }
}

function bytesOf({ payload }: BusMessage): number {
  return payload.byteLength + MESSAGE_BYTES;
}
