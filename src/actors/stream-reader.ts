import { Cancelled, type ShoalError } from '../errors.js';
import type { OutgoingCall, Receiver } from './outgoing-call.js';

/** The reader's end of a stream. */

interface Waiter<T> {
  resolve(result: IteratorResult<T>): void;
  reject(error: ShoalError): void;
}

/**
 * Iterates over the items of a stream. It yields the items that have arrived before it throws an error, except after a cancellation by the
 * reader. The window bounds the number of buffered items.
 */
export class StreamReader<T> implements AsyncIterableIterator<T>, Receiver {
  private arrived: unknown[] = [];
  private readonly waiting: Waiter<T>[] = [];
  private outcome: 'open' | 'ended' | ShoalError = 'open';
  private call: OutgoingCall | null = null;

  /** `check` throws a ShoalError for an item that violates the protocol. */
  constructor(private readonly check: (item: unknown) => T) {}

  begin(call: (receiver: Receiver) => OutgoingCall): this {
    this.call = call(this);
    return this;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T>> {
    return new Promise((resolve, reject) => {
      const waiter = { resolve, reject };
      if (this.arrived.length > 0) return this.resolveItem(waiter, this.arrived.shift());
      if (this.outcome === 'open') return this.waiting.push(waiter);
      const { outcome } = this;
      this.outcome = 'ended';
      if (outcome === 'ended') resolve({ done: true, value: undefined });
      else reject(outcome);
    });
  }

  /** Ends the stream here, and cancels the call. */
  return(): Promise<IteratorResult<T>> {
    this.arrived = [];
    this.call?.leave();
    this.outcome = 'ended';
    return Promise.resolve({ done: true, value: undefined });
  }

  answer(): void {}

  items(items: readonly unknown[]): void {
    for (const item of items) {
      const waiter = this.waiting.shift();
      if (waiter) this.resolveItem(waiter, item);
      else this.arrived.push(item);
    }
  }

  end(): void {
    this.outcome = 'ended';
    for (const waiter of this.waiting.splice(0)) waiter.resolve({ done: true, value: undefined });
  }

  fail(error: ShoalError): void {
    if (error instanceof Cancelled) this.arrived = [];
    const first = this.waiting.shift();
    this.outcome = first ? 'ended' : error;
    first?.reject(error);
    for (const waiter of this.waiting.splice(0)) waiter.resolve({ done: true, value: undefined });
  }

  private resolveItem(waiter: Waiter<T>, item: unknown): void {
    this.call?.itemRead();
    try {
      waiter.resolve({ done: false, value: this.check(item) });
    } catch (error) {
      this.arrived = [];
      this.call?.giveUp(error as ShoalError);
      this.outcome = 'ended';
      waiter.reject(error as ShoalError);
    }
  }
}
