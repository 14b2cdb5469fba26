import * as limits from '../limits.js';
import type { Parcel } from './route.js';

/** Takes items out of an iterable as fast as the reader's window allows. */

/** Bytes of a stream that may be on their way before the reader has acknowledged any. @internal exported for tests. */
export const STREAM_WINDOW_BYTES = 16 * 2 ** 20;
/** Bytes of items that are put into one message where several are ready at once. */
const STREAM_BATCH_BYTES = 32 * 1024;

/** Where the items of a stream go. */
export interface StreamTarget {
  pack(item: unknown): Parcel;
  items(first: number, contents: readonly unknown[]): void;
  end(items: number): void;
  /** The iterable threw, or gave what cannot be packed. */
  failed(error: unknown): void;
}

/** Turns of the microtask queue after which an iterable that has not given its next item is taken to be waiting for something. */
const READY_TURNS = 8;

/**
 * Takes items out of an iterable as fast as the reader's window allows, and sends them. The first is sent at once; those that are
 * ready together go together.
 */
export class StreamSender {
  /** Items taken out of the iterable. */
  private taken = 0;
  private sent = 0;
  private read = 0;
  private batch: unknown[] = [];
  private batchBytes = 0;
  /** Bytes of each item that the reader has not taken, oldest first. */
  private readonly unreadBytes: number[] = [];
  private unreadTotalBytes = 0;
  private pulling = false;
  private turnsLeft = 0;
  private closed = false;
  private readonly iterator: AsyncIterator<unknown>;

  constructor(
    iterable: AsyncIterable<unknown>,
    private readonly target: StreamTarget,
  ) {
    this.iterator = iterable[Symbol.asyncIterator]();
  }

  start(): void {
    this.pull();
  }

  /** The reader has taken `read` items in all. */
  credit(read: number): void {
    const upTo = Math.min(read, this.sent);
    for (; this.read < upTo; this.read++) this.unreadTotalBytes -= this.unreadBytes.shift() ?? 0;
    this.pull();
  }

  /** Ends the iterable without sending anything more. Idempotent. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    // A generator that is waiting returns when it goes on; nobody is left to hear of its errors.
    Promise.resolve(this.iterator.return?.()).catch(() => undefined);
  }

  private pull(): void {
    if (this.closed || this.pulling || !this.hasRoom()) return;
    this.pulling = true;
    this.iterator.next().then(
      (result) => this.onNext(result),
      (error) => this.onThrow(error),
    );
  }

  private hasRoom(): boolean {
    return this.taken - this.read < limits.STREAM_WINDOW_ITEMS && this.unreadTotalBytes < STREAM_WINDOW_BYTES;
  }

  private onNext(result: IteratorResult<unknown>): void {
    this.pulling = false;
    if (this.closed) return;
    if (result.done) {
      this.flush();
      this.closed = true;
      this.target.end(this.sent);
      return;
    }
    try {
      this.add(this.target.pack(result.value));
    } catch (error) {
      this.close();
      this.target.failed(error);
      return;
    }
    if (this.sent === 0 || !this.hasRoom()) this.flush();
    else this.flushWhenQuiet();
    this.pull();
  }

  private onThrow(error: unknown): void {
    this.pulling = false;
    if (this.closed) return;
    this.flush();
    this.closed = true;
    this.target.failed(error);
  }

  private add(parcel: Parcel): void {
    if (this.batchBytes + parcel.bytes > STREAM_BATCH_BYTES) this.flush();
    this.taken++;
    this.batch.push(parcel.content);
    this.batchBytes += parcel.bytes;
    this.unreadBytes.push(parcel.bytes);
    this.unreadTotalBytes += parcel.bytes;
  }

  private flushWhenQuiet(): void {
    const counting = this.turnsLeft > 0;
    this.turnsLeft = READY_TURNS;
    if (!counting) queueMicrotask(() => this.countDown());
  }

  private countDown(): void {
    this.turnsLeft--;
    if (this.turnsLeft > 0) queueMicrotask(() => this.countDown());
    else if (!this.closed) this.flush();
  }

  private flush(): void {
    if (this.batch.length === 0) return;
    const { batch, sent } = this;
    this.batch = [];
    this.batchBytes = 0;
    this.sent += batch.length;
    this.target.items(sent, batch);
  }
}
