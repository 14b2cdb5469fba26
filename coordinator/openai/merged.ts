/** Merges several streams into one, with backpressure. */

type Settled<T> = { readonly from: AsyncGenerator<T, void> } & (
  | { readonly result: IteratorResult<T, void> }
  | { readonly error: unknown }
);

/**
 * Yields the items of several generators in order of arrival. Each generator is at most one item ahead of the reader. The first error is
 * thrown. On an error, or when the reader stops, the other generators are asked to return; `merged` does not wait for them.
 * @param atOnce so many generators run at once; each further one begins, in their order, when one has ended
 */
export async function* merged<T>(
  generators: readonly AsyncGenerator<T, void>[],
  atOnce = Number.POSITIVE_INFINITY,
): AsyncGenerator<T, void> {
  const settled: Settled<T>[] = [];
  let wake = () => {};
  const pull = (from: AsyncGenerator<T, void>) => {
    const put = (outcome: Settled<T>) => {
      settled.push(outcome);
      wake();
    };
    from.next().then(
      (result) => put({ from, result }),
      (error: unknown) => put({ from, error }),
    );
  };
  const running = new Set<AsyncGenerator<T, void>>();
  let begun = 0;
  const begin = () => {
    const generator = generators[begun];
    if (generator === undefined) return;
    begun++;
    running.add(generator);
    pull(generator);
  };
  try {
    while (begun < generators.length && begun < atOnce) begin();
    while (running.size > 0) {
      if (settled.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      const outcome = settled.shift()!;
      if ('error' in outcome) running.delete(outcome.from);
      if ('error' in outcome) throw outcome.error;
      if (outcome.result.done) {
        running.delete(outcome.from);
        begin();
        continue;
      }
      yield outcome.result.value;
      pull(outcome.from);
    }
  } finally {
    for (const generator of running) generator.return().catch(() => {});
  }
}
