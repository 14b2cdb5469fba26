import { afterSending } from '../async/after-sending.js';
import * as limits from '../limits.js';
import type { Parcel } from './route.js';

/** The sender's end of a stream. */

/** Window of a stream in bytes: no further item is read from the iterable while this many bytes are unread. @internal exported for tests. */
export const STREAM_WINDOW_BYTES = 16 * 2 ** 20;
/** Limit on the bytes of several items in one message; a larger item has a message of its own. */
const STREAM_BATCH_BYTES = 32 * 1024;
/** Bytes after which a stream lets the connections write and read, so that other calls do not wait until its window is full. @internal exported for tests. */
export const STREAM_BURST_BYTES = 256 * 1024;

/** The destination of a stream's items. */
export interface StreamTarget {
  pack(item: unknown): Parcel;
  items(first: number, contents: readonly unknown[]): void;
  end(items: number): void;
  /** The iterable threw, or yielded an item that cannot be packed. */
  failed(error: unknown): void;
}

/** Microtask turns after which an iterable without a next item counts as waiting for I/O or a timer, so that the batch is sent. */
const READY_TURNS = 8;

/**
 * Reads items from an iterable as fast as the reader's window allows, and sends them. The first item is sent at once; items that are ready
 * together are sent in one message.
 */
export class StreamSender {
  /** Items read from the iterable. */
  private taken = 0;
  private sent = 0;
  private read = 0;
  private batch: unknown[] = [];
  private batchBytes = 0;
  /** Bytes of each item that the reader has not consumed, oldest first. */
  private readonly unreadBytes: number[] = [];
  private unreadTotalBytes = 0;
  private burstBytes = 0;
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

  /** The reader has consumed `read` items in total. */
  credit(read: number): void {
    const upTo = Math.min(read, this.sent);
    for (; this.read < upTo; this.read++) this.unreadTotalBytes -= this.unreadBytes.shift() ?? 0;
    this.pull();
  }

  /** Ends the iterable, and sends nothing more. Idempotent. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    void this.leave();
  }

  /** A generator that awaits something returns only when it resumes. Errors at the end of an iterable concern no caller. */
  private async leave(): Promise<void> {
    try {
      await this.iterator.return?.();
    } catch {}
  }

  private pull(): void {
    if (this.closed || this.pulling || !this.hasRoom()) return;
    this.pulling = true;
    const next = this.burstBytes < STREAM_BURST_BYTES ? this.iterator.next() : this.nextAfterSending();
    next.then(
      (result) => this.onNext(result),
      (error) => this.onThrow(error),
    );
  }

  private async nextAfterSending(): Promise<IteratorResult<unknown>> {
    this.burstBytes = 0;
    await afterSending();
    return this.iterator.next();
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
    this.burstBytes += parcel.bytes;
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
