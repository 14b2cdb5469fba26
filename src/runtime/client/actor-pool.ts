import { mapAsDone, mapInOrder } from '../../async/bounded-map.js';
import { InvalidRequest } from '../../errors.js';
import type { ActorHandle } from './handle-types.js';

/** Distributes work over idle actors, one piece at a time to each. The caller keeps ownership of the handles. */
export class ActorPool<T> {
  private readonly idle: ActorHandle<T>[];
  private readonly waiting: ((actor: ActorHandle<T>) => void)[] = [];

  /** @throws InvalidRequest without actors */
  constructor(private readonly actors: readonly ActorHandle<T>[]) {
    if (actors.length === 0) throw new InvalidRequest('actors: are none; a pool needs at least one', 'actors');
    this.idle = [...actors];
  }

  /** Waits for an idle actor, and does the work with it. Work begins in the order of submission. Rethrows the work's errors. */
  async submit<Result>(work: (actor: ActorHandle<T>) => Promise<Result>): Promise<Result> {
    const actor = await this.take();
    try {
      return await work(actor);
    } finally {
      this.giveBack(actor);
    }
  }

  /** The results of the work on each item, in the order of the items. The first error ends it. */
  map<Item, Result>(
    items: Iterable<Item> | AsyncIterable<Item>,
    work: (actor: ActorHandle<T>, item: Item) => Promise<Result>,
  ): AsyncGenerator<Result> {
    return mapInOrder(items, this.actors.length, (item) => this.submit((actor) => work(actor, item)));
  }

  /** Like `map`, each result as soon as it is there. */
  mapUnordered<Item, Result>(
    items: Iterable<Item> | AsyncIterable<Item>,
    work: (actor: ActorHandle<T>, item: Item) => Promise<Result>,
  ): AsyncGenerator<Result> {
    return mapAsDone(items, this.actors.length, (item) => this.submit((actor) => work(actor, item)));
  }

  private async take(): Promise<ActorHandle<T>> {
    const free = this.idle.shift();
    return free ?? new Promise<ActorHandle<T>>((resolve) => this.waiting.push(resolve));
  }

  private giveBack(actor: ActorHandle<T>): void {
    const next = this.waiting.shift();
    if (next) next(actor);
    else this.idle.push(actor);
  }
}
