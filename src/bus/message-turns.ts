import { type BusMessage, type OnBusError, throwLater } from './bus.js';

/**
 * Spreads the messages that come in over turns of the event loop, in their order. A socket hands over megabytes in one turn, which are thousands of
 * announcements in a large fleet, or in a flood, and everything else would wait until all of them are handled.
 */

/** Time for messages in one phase of the event loop, in milliseconds. Those beyond wait for the next turn. @internal exported for tests. */
export const MESSAGE_TURN_MS = 10;
/** Limit on the bytes of messages that wait. Beyond it the oldest ones are handled at once. */
const WAITING_BYTES = 16 * 2 ** 20;
/** Memory of a message that waits, beside its payload. */
const MESSAGE_BYTES = 512;

interface Waiting {
  readonly message: BusMessage;
  readonly handler: (message: BusMessage) => void;
}

export class MessageTurns {
  private waiting: Waiting[] = [];
  /** Index of the oldest message that waits. */
  private next = 0;
  private waitingBytes = 0;
  /** Time for messages since the last turn began. */
  private spentMs = 0;
  private due = false;

  constructor(
    private readonly onError: OnBusError = throwLater,
    private readonly now: () => number = () => performance.now(),
    private readonly nextTurn: (begin: () => void) => void = setImmediate,
  ) {}

  /** Whether messages wait. */
  get busy(): boolean {
    return this.next < this.waiting.length;
  }

  /** Handles a message now, or after those that wait. Errors of the handler go to `onError`. */
  take(message: BusMessage, handler: (message: BusMessage) => void): void {
    if (!this.busy && this.spentMs < MESSAGE_TURN_MS) {
      this.run(message, handler);
    } else {
      this.waiting.push({ message, handler });
      this.waitingBytes += bytesOf(message);
      while (this.waitingBytes > WAITING_BYTES) this.runOldest();
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

  private runOldest(): void {
    const { message, handler } = this.waiting[this.next++]!;
    this.waitingBytes -= bytesOf(message);
    if (this.next >= this.waiting.length / 2) {
      this.waiting = this.waiting.slice(this.next);
      this.next = 0;
    }
    this.run(message, handler);
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
