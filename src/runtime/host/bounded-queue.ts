import { abortReason } from '../../async/abort.js';
import { InvalidRequest } from '../../errors.js';
import { current } from '../context.js';

/** The name under which every node hosts the class. */
export const QUEUE_CODE = 'shoal.queue';
const CAPACITY = 1_000_000;

interface Waiter {
  /** Null for a `take`. */
  readonly item: { readonly value: unknown } | null;
  readonly done: (value: unknown) => void;
}

/** A queue between actors and tasks: `put` waits while it is full, `take` while it is empty, each in order. An item is taken once. */
export class BoundedQueue<T> {
  private readonly items: T[] = [];
  private readonly puts = new Set<Waiter>();
  private readonly takes = new Set<Waiter>();

  constructor(private readonly capacity: number) {
    if (Number.isSafeInteger(capacity) && capacity >= 1 && capacity <= CAPACITY) return;
    throw new InvalidRequest(`capacity: must be a whole number from 1 to ${CAPACITY}, got ${capacity}`, 'capacity');
  }

  /** Resolves when the item is in the queue. A call that is given up before has put nothing. */
  async put(value: T): Promise<void> {
    if (this.items.length >= this.capacity) await this.turn(this.puts, { value });
    else this.items.push(value);
    this.settle();
  }

  /** The next item. A call that is given up before has taken nothing. */
  async take(): Promise<T> {
    if (this.items.length === 0) return (await this.turn(this.takes, null)) as T;
    const item = this.items.shift() as T;
    this.settle();
    return item;
  }

  size(): number {
    return this.items.length;
  }

  /** Moves items while there is room for one, or a waiter for one. */
  private settle(): void {
    for (;;) {
      const [put] = this.puts;
      const [take] = this.takes;
      if (put && this.items.length < this.capacity) {
        this.puts.delete(put);
        this.items.push(put.item!.value as T);
        put.done(undefined);
      } else if (take && this.items.length > 0) {
        this.takes.delete(take);
        take.done(this.items.shift());
      } else return;
    }
  }

  private turn(among: Set<Waiter>, item: Waiter['item']): Promise<unknown> {
    const { signal } = current();
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        among.delete(waiter);
        reject(abortReason(signal));
      };
      const done = (value: unknown) => {
        signal.removeEventListener('abort', onAbort);
        resolve(value);
      };
      const waiter: Waiter = { item, done };
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      among.add(waiter);
    });
  }
}
