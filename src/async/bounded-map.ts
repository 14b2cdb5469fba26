/** Runs work on many items, several at a time. The items are asked for only as fast as the results are read. */

type Items<Item> = Iterable<Item> | AsyncIterable<Item>;

/** Yields the results in the order of the items. The first error ends it. */
export async function* mapInOrder<Item, Result>(
  items: Items<Item>,
  concurrency: number,
  run: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const running: Promise<Result>[] = [];
  for await (const item of items) {
    const result = run(item);
    result.catch(() => undefined);
    running.push(result);
    if (running.length >= concurrency) yield await running.shift()!;
  }
  for (const result of running) yield await result;
}

/** Yields each result as soon as it is there. The first error ends it. */
export async function* mapAsDone<Item, Result>(
  items: Items<Item>,
  concurrency: number,
  run: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const running = new Set<Promise<{ readonly done: Promise<unknown>; readonly result: Result }>>();
  const next = async () => {
    const { done, result } = await Promise.race(running);
    running.delete(done as never);
    return result;
  };
  for await (const item of items) {
    const done: Promise<{ readonly done: Promise<unknown>; readonly result: Result }> = run(item).then((result) => ({
      done,
      result,
    }));
    done.catch(() => undefined);
    running.add(done);
    if (running.size >= concurrency) yield await next();
  }
  while (running.size > 0) yield await next();
}
