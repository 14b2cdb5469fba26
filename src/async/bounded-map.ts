import { InvalidRequest } from '../errors.js';
import { Deferred } from './deferred.js';

/**
 * Runs work on many items, several at a time. Each item starts as soon as the source has it. The source is asked for items only as fast as the results
 * are read; it may itself wait for results.
 */

type Items<Item> = Iterable<Item> | AsyncIterable<Item>;

/** Yields the results in the order of the items. The first error in that order ends it; an error of the source stands where its next item would. */
export function mapInOrder<Item, Result>(
  items: Items<Item>,
  concurrency: number,
  run: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  return new BoundedMap(items, concurrency, run, true).results();
}

/** Yields each result as soon as it is there. The first error ends it. */
export function mapAsDone<Item, Result>(
  items: Items<Item>,
  concurrency: number,
  run: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  return new BoundedMap(items, concurrency, run, false).results();
}

class BoundedMap<Item, Result> {
  /** Results to yield next, in this order. */
  private readonly ready: Promise<Result>[] = [];
  /** Resolves when `ready` or `isOver` has changed. */
  private news = new Deferred<void>();
  /** Number of items whose results have not been read. */
  private held = 0;
  private isAsking = false;
  /** Whether the source has ended or failed, or nobody reads on. */
  private isOver = false;

  constructor(
    private readonly items: Items<Item>,
    private readonly concurrency: number,
    private readonly run: (item: Item) => Promise<Result>,
    private readonly inOrder: boolean,
  ) {}

  async *results(): AsyncGenerator<Result> {
    const source = iteratorOf(this.items);
    let failed = false;
    try {
      for (;;) {
        void this.ask(source);
        while (this.ready.length === 0) {
          if (this.isOver && this.held === 0) return;
          await this.news.promise;
          this.news = new Deferred<void>();
        }
        yield await this.ready.shift()!;
        this.held--;
      }
    } catch (error) {
      failed = true;
      throw error;
    } finally {
      await this.stop(source, failed);
    }
  }

  /** Asks for items, one at a time, until `concurrency` are held. Never rejects. */
  private async ask(source: AsyncIterator<Item>): Promise<void> {
    if (this.isAsking) return;
    this.isAsking = true;
    while (!this.isOver && this.held < this.concurrency) {
      try {
        const { done, value } = await source.next();
        if (this.isOver) break;
        if (done) this.isOver = true;
        else this.hold(async () => this.run(value));
      } catch (error) {
        this.isOver = true;
        this.hold(() => Promise.reject(error));
      }
    }
    this.isAsking = false;
    this.news.resolve();
  }

  private hold(run: () => Promise<Result>): void {
    this.held++;
    const result = run();
    const add = () => {
      this.ready.push(result);
      this.news.resolve();
    };
    if (this.inOrder) add();
    const settled = this.inOrder ? () => undefined : add;
    result.then(settled, settled);
  }

  /** Ends a source that has not ended. Does not wait for one that still waits for its next item, and tells of no second error. */
  private async stop(source: AsyncIterator<Item>, failed: boolean): Promise<void> {
    if (this.isOver) return;
    this.isOver = true;
    const ended = (async () => source.return?.())();
    if (this.isAsking || failed) ended.catch(() => undefined);
    else await ended;
  }
}

/** @throws InvalidRequest if nothing can be iterated */
function iteratorOf<Item>(items: Items<Item>): AsyncIterator<Item> {
  const { [Symbol.asyncIterator]: later, [Symbol.iterator]: now } = Object(items) as Partial<
    AsyncIterable<Item> & Iterable<Item>
  >;
  if (later !== undefined) return later.call(items);
  if (now !== undefined) return awaited(items as Iterable<Item>);
  throw new InvalidRequest(`items: must be an iterable or an async iterable, got ${typeof items}`, 'items');
}

async function* awaited<Item>(items: Iterable<Item>): AsyncGenerator<Item> {
  yield* items;
}
