import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BlockMeta, BlockRole } from '../../../src/core/block.js';
import { Shard } from '../../../src/core/shard.js';
import { InternalError } from '../../../src/errors.js';

/** A tree of prompts: the name of a block is its path, so `abc` follows `ab`. */
function meta(path: string): BlockMeta {
  return { key: path, parent: path.length > 1 ? path.slice(0, -1) : null, index: path.length - 1, segment: path[0]! };
}

function shardOf(budgetBlocks: number, ...paths: string[]): Shard {
  const shard = new Shard(budgetBlocks);
  for (const path of paths) shard.insert(meta(path), 'guest');
  return shard;
}
const evicted = (shard: Shard, count: number) => Array.from({ length: count }, () => shard.evict());

describe('a shard', () => {
  it('evicts what was used least recently, children before their parents', () => {
    const shard = shardOf(9, 'a', 'ab', 'abc', 'x', 'xy');
    for (const used of ['a', 'ab', 'abc']) shard.touch(used);
    expect(evicted(shard, 6)).toEqual(['xy', 'x', 'abc', 'ab', 'a', null]);
  });

  it('evicts guests before homes', () => {
    const shard = new Shard(9);
    for (const path of ['a', 'b']) shard.insert(meta(path), 'home');
    for (const path of ['c', 'd']) shard.insert(meta(path), 'guest');
    expect(shard.homes).toBe(2);
    shard.setRole('b', 'guest');
    shard.setRole('c', 'home');
    expect(shard.victim()).toEqual({ key: 'b', role: 'guest' });
    expect(shard.evict('guests')).toBe('b');
    expect(evicted(shard, 1)).toEqual(['d']);
    expect(shard.evict('guests')).toBeNull();
    expect(evicted(shard, 2)).toEqual(['a', 'c']);
    expect(shard.homes).toBe(0);
  });

  it('makes room for a new block, but not by dropping its parent', () => {
    const shard = shardOf(2, 'a', 'b');
    shard.touch('b');
    expect(shard.insert(meta('ax'), 'guest')).toEqual({
      inserted: true,
      evicted: [{ key: 'b', role: 'guest' }],
    });
    expect(shard.insert(meta('axy'), 'guest')).toEqual({ inserted: false, evicted: [] });
    expect(shard.insert(meta('ax'), 'guest')).toEqual({ inserted: false, evicted: [] });
    expect(shard.size).toBe(2);
  });

  it('never evicts what is pinned, nor what a pinned block follows', () => {
    const shard = shardOf(3, 'a', 'ab', 'c');
    shard.pin('ab');
    shard.pin('ab');
    shard.unpin('ab');
    expect(evicted(shard, 2)).toEqual(['c', null]);
    shard.unpin('ab');
    expect(evicted(shard, 2)).toEqual(['ab', 'a']);
  });

  it('may take a block in pinned', () => {
    const shard = new Shard(1);
    shard.insert(meta('a'), 'guest', true);
    expect(shard.insert(meta('b'), 'home').inserted).toBe(false);
    shard.unpin('a');
    expect(shard.insert(meta('b'), 'home').inserted).toBe(true);
  });

  it('takes blocks without their parents, and knows them as children when the parent comes', () => {
    const shard = shardOf(9, 'abc', 'ab');
    shard.insert(meta('a'), 'guest');
    shard.touch('abc');
    expect(evicted(shard, 3)).toEqual(['abc', 'ab', 'a']);
  });

  it('lets a parent be removed, which makes orphans of its children', () => {
    const shard = shardOf(9, 'a', 'ab');
    expect(shard.remove('a')).toBe(true);
    expect(shard.remove('a')).toBe(false);
    expect(evicted(shard, 2)).toEqual(['ab', null]);
  });

  it('forgets all of it, pinned or not', () => {
    const shard = shardOf(9, 'a', 'ab', 'abc', 'x');
    shard.setRole('x', 'home');
    shard.pin('ab');
    expect(shard.clear()).toEqual(['a', 'ab', 'abc', 'x']);
    expect([shard.size, shard.homes, shard.victim()]).toEqual([0, 0, null]);
    shard.insert(meta('abc'), 'guest');
    expect(evicted(shard, 2)).toEqual(['abc', null]);
  });

  it('tells in what order blocks would go, and changes nothing by it', () => {
    const shard = shardOf(9, 'a', 'ab', 'abc', 'abd', 'x', 'xy');
    shard.setRole('xy', 'home');
    shard.pin('x');
    const order = [...shard.evictionOrder()].map(({ key }) => key);
    expect(order).toEqual(['abc', 'abd', 'ab', 'a', 'xy']);
    expect(evicted(shard, 6)).toEqual([...order, null]);
  });

  it('keeps nothing without a budget', () => {
    expect(new Shard(0).insert(meta('a'), 'home')).toEqual({ inserted: false, evicted: [] });
  });

  it('says so when pins do not match', () => {
    const shard = shardOf(1, 'a');
    expect(() => shard.unpin('a')).toThrow(InternalError);
    expect(() => shard.pin('b')).toThrow(InternalError);
  });
});

/** The same rules, by looking at everything each time. */
class NaiveShard {
  blocks: { path: string; role: BlockRole; pins: number; usedAt: number }[] = [];
  uses = 0;
  constructor(readonly budget: number) {}
  find(path: string) {
    return this.blocks.find((block) => block.path === path);
  }
  candidates(spared: string | null) {
    return this.blocks.filter(
      (block) =>
        block.pins === 0 &&
        block.path !== spared &&
        !this.blocks.some((other) => other.path.slice(0, -1) === block.path),
    );
  }
  evict(spared: string | null = null): string | null {
    const rank = (block: { role: BlockRole; usedAt: number }) => (block.role === 'guest' ? 0 : 1e9) + block.usedAt;
    const [victim] = this.candidates(spared).sort((a, b) => rank(a) - rank(b));
    this.blocks = this.blocks.filter((block) => block !== victim);
    return victim?.path ?? null;
  }
  insert(path: string, role: BlockRole, pinned: boolean) {
    const gone: string[] = [];
    if (this.find(path)) return { inserted: false, gone };
    while (this.blocks.length >= this.budget) {
      const victim = this.evict(path.slice(0, -1));
      if (victim === null) return { inserted: false, gone };
      gone.push(victim);
    }
    this.blocks.push({ path, role, pins: pinned ? 1 : 0, usedAt: ++this.uses });
    return { inserted: true, gone };
  }
}

describe('whatever is done to it, a shard', () => {
  const path = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 4 });
  const role = fc.constantFrom<BlockRole>('home', 'guest');
  const action = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('insert' as const), path, role, pinned: fc.boolean() }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constantFrom('remove' as const, 'pin' as const, 'unpin' as const, 'evict' as const),
        path,
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('touch' as const), paths: fc.array(path, { maxLength: 4 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('role' as const), path, role }) },
  );

  it('does what looking at everything would do, and stays within its budget', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 8 }), fc.array(action, { maxLength: 80 }), (budget, actions) => {
        const shard = new Shard(budget);
        const naive = new NaiveShard(budget);
        for (const act of actions) {
          const known = 'path' in act ? naive.find(act.path) : undefined;
          const pinnedBefore = naive.blocks.filter((block) => block.pins > 0).map((block) => block.path);
          if (act.do === 'insert') {
            const { inserted, evicted: gone } = shard.insert(meta(act.path), act.role, act.pinned);
            expect({ inserted, gone: gone.map((eviction) => eviction.key) }).toEqual(
              naive.insert(act.path, act.role, act.pinned),
            );
          } else if (act.do === 'remove') {
            expect(shard.remove(act.path)).toBe(known !== undefined);
            naive.blocks = naive.blocks.filter((block) => block !== known);
          } else if (act.do === 'evict') {
            expect(shard.evict()).toBe(naive.evict());
          } else if (act.do === 'touch') {
            for (const used of act.paths) {
              shard.touch(used);
              const block = naive.find(used);
              if (block) block.usedAt = ++naive.uses;
            }
          } else if (act.do === 'role') {
            expect(shard.setRole(act.path, act.role)).toBe(known !== undefined && known.role !== act.role);
            if (known) known.role = act.role;
          } else if (known && (act.do === 'pin' || known.pins > 0)) {
            if (act.do === 'pin') shard.pin(act.path);
            else shard.unpin(act.path);
            known.pins += act.do === 'pin' ? 1 : -1;
          }
          expect(shard.size).toBeLessThanOrEqual(budget);
          const order = [...shard.evictionOrder()].map(({ key }) => key);
          expect(order[0] ?? null).toBe(shard.victim()?.key ?? null);
          expect(shard.homes).toBe(naive.blocks.filter((block) => block.role === 'home').length);
          expect([...shard.residents()].map((block) => block.meta.key).sort()).toEqual(
            naive.blocks.map((block) => block.path).sort(),
          );
          for (const pinned of pinnedBefore) if (act.do !== 'remove') expect(shard.has(pinned)).toBe(true);
        }
        const order = [...shard.evictionOrder()].map(({ key }) => key);
        expect(order.map(() => naive.evict())).toEqual(order);
        expect(naive.evict()).toBeNull();
      }),
      { numRuns: 500 },
    );
  });
});
