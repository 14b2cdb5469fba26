import { type Clock, SystemClock, type Timer } from '../../clock.js';
import { InvalidRequest, Overloaded } from '../../errors.js';
import { amount, count } from '../client/checked.js';

/** Gathers single calls into batches, for code that handles many items at once for little more than one. */

export interface BatchOptions {
  /** Items in one batch, at most. Default: 16. */
  readonly maxSize?: number;
  /** How long the first item of a batch waits for others. Default: 5 ms. */
  readonly waitMs?: number;
  /** Items that may wait; beyond that calls fail with Overloaded. Default: 1,024. */
  readonly maxWaiting?: number;
  /** Default: the clock of the system. */
  readonly clock?: Clock;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A function of one item that runs `run` on lists of them, one list at a time: `this.embed = batched((texts) => model.embed(texts))`. `run` gives one
 * result for each item, in their order; what it throws, all calls of its batch throw. In an actor, `maxConcurrency` has to allow as many calls.
 */
export function batched<Item, Result>(
  run: (items: Item[]) => readonly Result[] | Promise<readonly Result[]>,
  options: BatchOptions = {},
): (item: Item) => Promise<Result> {
  const batches = new Batches(run, options);
  return (item) => batches.add(item);
}

class Batches<Item, Result> {
  private readonly waiting: Waiting<Item, Result>[] = [];
  private readonly maxSize: number;
  private readonly waitMs: number;
  private readonly maxWaiting: number;
  private readonly clock: Clock;
  private timer: Timer | null = null;
  private running = false;

  constructor(
    private readonly run: (items: Item[]) => readonly Result[] | Promise<readonly Result[]>,
    { maxSize, waitMs, maxWaiting, clock = new SystemClock() }: BatchOptions,
  ) {
    this.maxSize = count('maxSize', maxSize, 16, 1, Number.MAX_SAFE_INTEGER);
    this.waitMs = amount('waitMs', waitMs, 5);
    this.maxWaiting = count('maxWaiting', maxWaiting, 1_024, 1, Number.MAX_SAFE_INTEGER);
    this.clock = clock;
  }

  add(item: Item): Promise<Result> {
    if (this.waiting.length >= this.maxWaiting)
      return Promise.reject(new Overloaded(`cannot batch an item: ${this.maxWaiting} wait already`));
    return new Promise((resolve, reject) => {
      this.waiting.push({ item, resolve, reject });
      this.next();
    });
  }

  /** Begins a batch if it is full. One that is not begins when its time is over. */
  private next(): void {
    if (this.running || this.waiting.length === 0) return;
    if (this.waiting.length >= this.maxSize) void this.begin();
    else this.timer ??= this.clock.after(this.waitMs, () => void this.begin());
  }

  private async begin(): Promise<void> {
    this.timer?.cancel();
    this.timer = null;
    this.running = true;
    const batch = this.waiting.splice(0, this.maxSize);
    try {
      const results = await this.run(batch.map(({ item }) => item));
      if (results.length !== batch.length)
        throw new InvalidRequest(`a batch of ${batch.length} items has ${results.length} results`);
      for (const [i, { resolve }] of batch.entries()) resolve(results[i]!);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    this.running = false;
    this.next();
  }
}
