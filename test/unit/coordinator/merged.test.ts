import { describe, expect, it } from 'vitest';
import { merged } from '../../../coordinator/openai/merged.js';
import { settled } from '../../../src/clock.js';
import { collect } from './support/collect.js';

async function* of(...items: string[]): AsyncGenerator<string, void> {
  yield* items;
}

/** Yields its items, then hangs. Calls `onReturn` when it is asked to return. */
function hanging(items: string[], onReturn: () => void): AsyncGenerator<string, void> {
  const inner = (async function* () {
    try {
      yield* items;
    } finally {
      onReturn();
    }
  })();
  return inner;
}

describe('merged', () => {
  it('yields the items of all generators, each in its own order', async () => {
    const items = await collect(merged([of('a1', 'a2', 'a3'), of(), of('b1', 'b2')]));
    expect(items.filter((item) => item.startsWith('a'))).toEqual(['a1', 'a2', 'a3']);
    expect(items.filter((item) => item.startsWith('b'))).toEqual(['b1', 'b2']);
    expect(items.indexOf('b1')).toBeLessThan(items.indexOf('a3'));
  });

  it('fetches no more than one item ahead of its reader', async () => {
    let fetched = 0;
    const endless = (async function* () {
      for (;;) yield String(fetched++);
    })();
    const reader = merged([endless]);
    for (let read = 1; read <= 3; read++) {
      await reader.next();
      await settled();
      expect(fetched).toBeLessThanOrEqual(read + 1);
    }
    await reader.return();
  });

  it('throws the first error, and makes the others return', async () => {
    let returned = false;
    const failing = (async function* (): AsyncGenerator<string, void> {
      yield 'x';
      throw new Error('broken');
    })();
    const reading = collect(merged([hanging(['a', 'b', 'c', 'd'], () => (returned = true)), failing]));
    await expect(reading).rejects.toThrow('broken');
    await settled();
    expect(returned).toBe(true);
  });

  it('makes all return when its reader stops', async () => {
    let returned = 0;
    const both = merged([hanging(['a', 'b'], () => returned++), hanging(['c', 'd'], () => returned++)]);
    for await (const _ of both) break;
    await settled();
    expect(returned).toBe(2);
  });
});

it('runs so many generators at once as it may, and begins the others in their order', async () => {
  const begun: number[] = [];
  let running = 0;
  let most = 0;
  const sources = Array.from({ length: 9 }, (_, i) =>
    (async function* () {
      begun.push(i);
      most = Math.max(most, ++running);
      yield i;
      await settled();
      yield i;
      running--;
    })(),
  );
  const items = await collect(merged(sources, 3));
  expect(items.toSorted()).toEqual(Array.from({ length: 18 }, (_, i) => Math.floor(i / 2)));
  expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  expect(most).toBe(3);
});
