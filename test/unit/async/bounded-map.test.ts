import { describe, expect, it } from 'vitest';
import { mapAsDone, mapInOrder } from '../../../src/async/bounded-map.js';
import { Deferred } from '../../../src/async/deferred.js';

const double = async (item: number) => 2 * item;

/** A source like a crawler, whose second item waits for a result of the first. */
function crawl() {
  const first = new Deferred<void>();
  let isEnded = false;
  async function* items() {
    try {
      yield 1;
      await first.promise;
      yield 2;
    } finally {
      isEnded = true;
    }
  }
  return { items: items(), first, isEnded: () => isEnded };
}

describe.each([
  ['in order', mapInOrder],
  ['as done', mapAsDone],
])('a bounded map, %s', (_, map) => {
  it('yields a result while the source waits for it', async () => {
    const { items, first } = crawl();
    const results: number[] = [];
    for await (const result of map(items, 4, double)) {
      results.push(result);
      first.resolve();
    }
    expect(results).toEqual([2, 4]);
  });

  it('shows a failure while the source waits, and does not wait for the source', async () => {
    const { items, first, isEnded } = crawl();
    const failing = map(items, 4, () => Promise.reject(new Error('no such page')));
    await expect(failing.next()).rejects.toThrow('no such page');
    first.resolve();
    await items.return();
    expect(isEnded()).toBe(true);
  });

  it('starts an item as soon as the source has it, though nobody reads', async () => {
    const { items, first } = crawl();
    const started = new Deferred<void>();
    const results = map(items, 4, async (item) => {
      if (item === 2) started.resolve();
      return item;
    });
    await results.next();
    first.resolve();
    await started.promise;
  });

  it('asks for no more items than it may hold results, and ends the source when the reader leaves', async () => {
    let taken = 0;
    let isEnded = false;
    function* items() {
      try {
        for (;;) yield taken++;
      } finally {
        isEnded = true;
      }
    }
    for await (const result of map(items(), 3, double)) if (result === 4) break;
    expect(taken).toBeLessThanOrEqual(5);
    expect(isEnded).toBe(true);
  });

  it('ends with the first error, whatever the end of its source throws', async () => {
    async function* items() {
      try {
        for (;;) yield 1;
      } finally {
        // biome-ignore lint/correctness/noUnsafeFinally: what careless sources do
        throw new Error('the end of the source');
      }
    }
    const fail = () => Promise.reject(new Error('the work'));
    await expect(map(items(), 1, fail).next()).rejects.toThrow('the work');
    const read = async () => {
      for await (const _ of map(items(), 1, double)) break;
    };
    await expect(read()).rejects.toThrow('the end of the source');
  });

  it('takes a text as its characters, and refuses what has no items', async () => {
    const letters: string[] = [];
    for await (const letter of map('ab', 1, async (item) => item)) letters.push(letter);
    expect(letters).toEqual(['a', 'b']);
    const none = map(5 as unknown as number[], 1, double);
    await expect(none.next()).rejects.toThrow('items: must be an iterable or an async iterable, got number');
  });

  it('ends with an error that the work throws at once', async () => {
    const results = map([1], 4, () => {
      throw new Error('no promise');
    });
    await expect(results.next()).rejects.toThrow('no promise');
  });
});

describe('a bounded map in order', () => {
  it('yields the results of the items before an error of the source', async () => {
    async function* items() {
      yield 1;
      throw new Error('the source broke off');
    }
    const results = mapInOrder(items(), 4, double);
    expect((await results.next()).value).toBe(2);
    await expect(results.next()).rejects.toThrow('the source broke off');
  });
});
