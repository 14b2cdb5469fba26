import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairLine, type LineItem } from '../../../src/core/fair-line.js';

interface Item extends LineItem {
  readonly id: number;
}

const LIMITS = { items: 8, size: 40 };
const names = fc.constantFrom('a', 'b', 'c');
const commands = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('add' as const), name: names, size: fc.integer({ min: 0, max: 20 }) }),
    fc.record({ do: fc.constantFrom('next' as const, 'end' as const, 'leave' as const) }),
  ),
  { maxLength: 60 },
);

describe('a fair line', () => {
  it('keeps its limits, loses no item, and keeps those of a tenant in order', () => {
    fc.assert(
      fc.property(commands, (all) => {
        const line = new FairLine<Item>(LIMITS);
        const waiting: Item[] = [];
        const serving: Item[] = [];
        all.forEach((command, id) => {
          if (command.do === 'add') {
            const item = { tenant: { name: command.name, weight: 1 }, size: command.size, id };
            const displaced = line.add(item, 0);
            for (const each of displaced ?? []) waiting.splice(waiting.indexOf(each), 1);
            if (displaced !== null) waiting.push(item);
          } else if (command.do === 'next') {
            const item = line.next(0);
            const startable = waiting.filter(({ tenant }) => serving.every((each) => each.tenant.name !== tenant.name));
            expect(item === null).toBe(startable.length === 0);
            if (item === null) return;
            expect(waiting.find(({ tenant }) => tenant.name === item.tenant.name)).toBe(item);
            waiting.splice(waiting.indexOf(item), 1);
            serving.push(item);
          } else if (command.do === 'end') {
            const item = serving.shift();
            if (item !== undefined) line.end(item, 1, 0);
          } else {
            const item = waiting.pop();
            if (item !== undefined) expect(line.remove(item, 0)).toBe(true);
          }
          expect(waiting.length).toBeLessThanOrEqual(LIMITS.items);
          expect(waiting.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(LIMITS.size);
        });
        expect(
          line
            .clear(0)
            .map(({ id }) => id)
            .toSorted((a, b) => a - b),
        ).toEqual(waiting.map(({ id }) => id).toSorted((a, b) => a - b));
      }),
    );
  });

  it('gives a tenant its part of the places, whatever the others have', () => {
    const line = new FairLine<Item>(LIMITS);
    const add = (name: string, size: number, weight = 1) => line.add({ tenant: { name, weight }, size, id: 0 }, 0);
    for (let i = 0; i < 8; i++) expect(add('a', 5)).toEqual([]);
    expect(add('a', 0)).toBeNull();
    for (let i = 0; i < 4; i++) expect(add('b', 5)).toHaveLength(1);
    expect(add('b', 5)).toBeNull();
    // Of the size too: a large item displaces several, but none if they would not do.
    expect(add('c', 30)).toBeNull();
    expect(add('c', 10)).toHaveLength(2);
    expect(add('d', 2, 4)).toHaveLength(1);
  });

  it('serves the tenant for which least was done', () => {
    const line = new FairLine<Item>({ items: 1_000, size: 1_000 });
    for (let id = 0; id < 100; id++) line.add({ tenant: { name: 'a', weight: 1 }, size: 1, id }, 0);
    const order: string[] = [];
    for (let id = 0; id < 9; id++) {
      const item = line.next(0)!;
      order.push(item.tenant.name);
      line.end(item, 1, 0);
      if (id % 3 === 0) line.add({ tenant: { name: 'b', weight: 1 }, size: 1, id }, 0);
    }
    expect(order.join('')).toMatch(/^a(b|ab)/);
    expect(order.filter((name) => name === 'b')).toHaveLength(3);
  });
});
