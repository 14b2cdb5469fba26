import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Heap, type HeapItem } from '../../../src/core/heap.js';

interface Item extends HeapItem {
  rank: number;
}

describe('a heap', () => {
  it('yields its items in order, whatever was added, moved and removed before', () => {
    const action = fc.tuple(fc.constantFrom('add', 'remove', 'move'), fc.nat(), fc.nat(100));
    fc.assert(
      fc.property(fc.array(action, { maxLength: 150, size: 'max' }), (actions) => {
        const heap = new Heap<Item>((a, b) => a.rank < b.rank);
        const items: Item[] = [];
        for (const [what, which, rank] of actions) {
          const item = items[which % Math.max(1, items.length)];
          if (what === 'add' || item === undefined) {
            items.push({ rank, heapIndex: -1 });
            heap.add(items.at(-1)!);
          } else if (what === 'remove') {
            heap.remove(item);
            items.splice(items.indexOf(item), 1);
          } else {
            item.rank = rank;
            heap.moved(item);
          }
          expect(heap.first()?.rank).toBe(
            items.length === 0 ? undefined : Math.min(...items.map((other) => other.rank)),
          );
          expect(heap.size).toBe(items.length);
        }
        const ranks = items.map((item) => item.rank).sort((a, b) => a - b);
        expect([...heap.inOrder()].map(({ rank }) => rank)).toEqual(ranks);
        expect(heap.size).toBe(items.length);
        const out: number[] = [];
        for (let next = heap.first(); next !== undefined; next = heap.first()) {
          heap.remove(next);
          out.push(next.rank);
        }
        expect(out).toEqual(ranks);
        expect(items.every((item) => item.heapIndex === -1)).toBe(true);
      }),
    );
  });

  it('yields the first of very many items without visiting the rest', () => {
    let compared = 0;
    const heap = new Heap<Item>((a, b) => {
      compared++;
      return a.rank < b.rank;
    });
    for (let n = 0; n < 100_000; n++) heap.add({ rank: (n * 7919) % 100_003, heapIndex: -1 });
    compared = 0;
    const order = heap.inOrder();
    for (let n = 0; n < 100; n++) order.next();
    expect(compared).toBeLessThan(100 * 2 * 2 * Math.log2(100));
  });
});
