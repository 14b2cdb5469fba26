type Settled<T> = { readonly from: AsyncGenerator<T, void> } & (
  | { readonly result: IteratorResult<T, void> }
  | { readonly error: unknown }
);

/**
 * All items of several generators, as they come. Each has at most one item on its way, and gets to the next one only when that was
 * read. The first error is thrown; then, or if the reader leaves, the others are told to return, and not waited for.
 */
export async function* merged<T>(generators: readonly AsyncGenerator<T, void>[]): AsyncGenerator<T, void> {
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
  const running = new Set(generators);
  try {
    for (const generator of generators) pull(generator);
    while (running.size > 0) {
      if (settled.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      const outcome = settled.shift()!;
      if ('error' in outcome) running.delete(outcome.from);
      if ('error' in outcome) throw outcome.error;
      if (outcome.result.done) {
        running.delete(outcome.from);
        continue;
      }
      yield outcome.result.value;
      pull(outcome.from);
    }
  } finally {
    for (const generator of running) generator.return().catch(() => {});
  }
}
