import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BlockMeta, BlockRole } from '../../../src/core/block.js';
import { type Pin, Residency } from '../../../src/core/residency.js';
import { InternalError } from '../../../src/errors.js';

/** A tree of prompts: the name of a block is its path, so `abc` follows `ab`. */
function meta(path: string): BlockMeta {
  return { key: path, parent: path.length > 1 ? path.slice(0, -1) : null, index: path.length - 1, segment: path[0]! };
}

/** A tier of names: what it has of a block is its path. */
class Paths extends Residency<string> {
  readonly freed: string[];
  private readonly roles = new Map<string, BlockRole>();

  constructor(
    readonly budget: number,
    ...paths: string[]
  ) {
    const freed: string[] = [];
    super(budget, (path) => freed.push(path));
    this.freed = freed;
    for (const path of paths) this.add(path);
  }

  add(path: string, role: BlockRole = 'guest'): void {
    this.insert(meta(path), role, path);
    this.roles.set(path, role);
  }

  setRole(path: string, role: BlockRole): void {
    if (this.has(path)) this.roles.set(path, role);
    this.reassign(({ key }) => this.roles.get(key)!);
  }
}

const evicted = (tier: Paths, count: number) => Array.from({ length: count }, () => tier.evict(null));

describe('a residency', () => {
  it('evicts the least recently used block, children before their parents', () => {
    const tier = new Paths(9, 'a', 'ab', 'abc', 'x', 'xy');
    for (const used of ['a', 'ab', 'abc']) tier.touch(used);
    expect(evicted(tier, 6)).toEqual(['xy', 'x', 'abc', 'ab', 'a', null]);
  });

  it('evicts guests before homes', () => {
    const tier = new Paths(9);
    for (const path of ['a', 'b']) tier.add(path, 'home');
    for (const path of ['c', 'd']) tier.add(path, 'guest');
    tier.setRole('b', 'guest');
    tier.setRole('c', 'home');
    expect(evicted(tier, 5)).toEqual(['b', 'd', 'a', 'c', null]);
  });

  it('evicts a flood of blocks that come once before what was used again', () => {
    const tier = new Paths(4, 'a', 'ab');
    for (const used of ['a', 'ab']) tier.touch(used);
    const flood = [...'cdefghi'];
    const gone = flood.flatMap((path) => {
      const victim = tier.size === 4 ? tier.evict(null)! : [];
      tier.add(path);
      return victim;
    });
    expect(gone).toEqual(['c', 'd', 'e', 'f', 'g']);
    // What is not used again goes too, after a while.
    expect(evicted(tier, 1)).toEqual(['ab']);
  });

  it('takes a block that comes again soon after its eviction for one that is used again', () => {
    const tier = new Paths(2, 'a', 'b');
    expect(tier.evict(null)).toBe('a');
    tier.add('a');
    expect(tier.evict(null)).toBe('b');
    tier.add('c');
    expect(tier.evict(null)).toBe('c');
  });

  it('evicts first what another worker has read since, unless it is a home', () => {
    const tier = new Paths(9, 'a', 'b', 'c');
    tier.add('d', 'home');
    for (const path of ['c', 'd', 'b']) tier.touch(path);
    for (const path of ['b', 'c', 'd']) tier.handOn(path);
    tier.touch('c');
    expect(evicted(tier, 4)).toEqual(['b', 'a', 'c', 'd']);
  });

  it('makes room for a new block, but not by evicting its parent', () => {
    const tier = new Paths(2, 'a', 'b');
    tier.touch('b');
    expect(tier.evict('a')).toBe('b');
    expect(tier.evict('a')).toBeNull();
    expect([...tier.keys()]).toEqual(['a']);
    expect(tier.evict(null)).toBe('a');
  });

  it('keeps the order of eviction when a block is spared', () => {
    const tier = new Paths(9, 'a', 'b', 'c');
    expect(tier.evict('a')).toBe('b');
    expect(evicted(tier, 3)).toEqual(['a', 'c', null]);
  });

  it('evicts a home where the only guest is spared', () => {
    const tier = new Paths(9, 'a');
    tier.add('b', 'home');
    expect([tier.evict('a'), tier.evict('a')]).toEqual(['b', null]);
  });

  it('never evicts a pinned block or its ancestors', () => {
    const tier = new Paths(3, 'a', 'ab', 'c');
    const pins = [tier.pin('ab')!, tier.pin('ab')!];
    expect(tier.pins).toBe(2);
    pins[0]!.unpin();
    pins[0]!.unpin();
    expect(tier.pins).toBe(1);
    expect(evicted(tier, 2)).toEqual(['c', null]);
    pins[1]!.unpin();
    expect(tier.pins).toBe(0);
    expect(evicted(tier, 2)).toEqual(['ab', 'a']);
  });

  it('never evicts a retained block, resident or to come, until told to retain others', () => {
    const tier = new Paths(4, 'a', 'ab', 'c');
    tier.retain(new Set(['ab', 'd']));
    tier.add('d');
    expect([...tier.evictionOrder()]).toEqual(['c']);
    expect(evicted(tier, 2)).toEqual(['c', null]);
    tier.retain(new Set(['a']));
    expect([...tier.evictionOrder()]).toEqual(['ab', 'd']);
    expect(evicted(tier, 3)).toEqual(['ab', 'd', null]);
    tier.retain(new Set());
    expect(evicted(tier, 1)).toEqual(['a']);
  });

  it('pins only resident blocks', () => {
    const tier = new Paths(2, 'a');
    expect(tier.pin('b')).toBeNull();
    expect(tier.pin('a')!.value).toBe('a');
  });

  it('frees a removed block at its last unpin, even if the same block came again', () => {
    const tier = new Paths(9, 'a', 'b');
    const pins = [tier.pin('a')!, tier.pin('a')!];
    expect([tier.remove('a'), tier.remove('b')]).toEqual([true, true]);
    expect([tier.has('a'), tier.freed, tier.pins]).toEqual([false, ['b'], 2]);
    tier.add('a');
    pins[0]!.unpin();
    pins[0]!.unpin();
    expect(tier.freed).toEqual(['b']);
    pins[1]!.unpin();
    expect([tier.freed, tier.has('a'), tier.pins]).toEqual([['b', 'a'], true, 0]);
    expect(evicted(tier, 1)).toEqual(['a']);
  });

  it('leaves freeing an evicted block to the caller', () => {
    const tier = new Paths(9, 'a');
    expect(tier.evict(null)).toBe('a');
    expect(tier.freed).toEqual([]);
  });

  it('takes blocks without their parents, and knows them as children when the parent comes', () => {
    const tier = new Paths(9, 'abc', 'ab');
    tier.add('a');
    tier.touch('abc');
    expect(evicted(tier, 3)).toEqual(['abc', 'ab', 'a']);
  });

  it('allows the removal of a parent, which orphans its children', () => {
    const tier = new Paths(9, 'a', 'ab');
    expect(tier.remove('a')).toBe(true);
    expect(tier.remove('a')).toBe(false);
    expect(evicted(tier, 2)).toEqual(['ab', null]);
  });

  it('removes all blocks at once, and frees pinned ones later', () => {
    const tier = new Paths(9, 'a', 'ab', 'abc', 'x');
    tier.setRole('x', 'home');
    const pin = tier.pin('ab')!;
    expect(tier.clear()).toEqual(['a', 'ab', 'abc', 'x']);
    expect([tier.size, tier.pins, tier.evict(null), tier.freed]).toEqual([0, 1, null, ['a', 'abc', 'x']]);
    pin.unpin();
    expect([tier.pins, tier.freed]).toEqual([0, ['a', 'abc', 'x', 'ab']]);
    tier.add('abc');
    expect(evicted(tier, 2)).toEqual(['abc', null]);
  });

  it('reports the order of eviction without changing it', () => {
    const tier = new Paths(9, 'a', 'ab', 'abc', 'abd', 'x', 'xy');
    tier.setRole('xy', 'home');
    tier.pin('x');
    const order = [...tier.evictionOrder()];
    expect(order).toEqual(['abc', 'abd', 'ab', 'a', 'xy']);
    expect(evicted(tier, 6)).toEqual([...order, null]);
  });

  it('accepts neither a block over its budget nor a resident one', () => {
    const tier = new Paths(1, 'a');
    expect(() => tier.add('b')).toThrow(InternalError);
    expect(() => tier.add('a')).toThrow(InternalError);
    expect(() => new Paths(0).add('a')).toThrow(InternalError);
    expect([...tier.keys()]).toEqual(['a']);
  });
});

/** The same rules, by looking at everything each time. */
class NaiveResidency {
  blocks: { path: string; role: BlockRole; pins: number; usedAt: number; reused: boolean; handedOn: boolean }[] = [];
  ghosts: string[] = [];
  uses = 0;
  retained = new Set<string>();

  constructor(readonly budget: number) {}

  find(path: string) {
    return this.blocks.find((block) => block.path === path);
  }

  candidates(spared: string | null) {
    return this.blocks.filter(
      (block) =>
        block.pins === 0 &&
        block.path !== spared &&
        !this.retained.has(block.path) &&
        !this.blocks.some((other) => other.path.slice(0, -1) === block.path),
    );
  }

  evict(spared: string | null): string | null {
    const turnovers = ({ role, reused, handedOn }: (typeof this.blocks)[number]) =>
      handedOn && role === 'guest' ? -1 : reused ? 1.5 : 0;
    const rank = (block: (typeof this.blocks)[number]) =>
      (block.role === 'guest' ? 0 : 1e9) + block.usedAt + turnovers(block) * this.budget;
    const [victim] = this.candidates(spared).sort((a, b) => rank(a) - rank(b) || a.usedAt - b.usedAt);
    if (victim) this.ghosts = [...this.ghosts.filter((path) => path !== victim.path), victim.path].slice(-this.budget);
    this.blocks = this.blocks.filter((block) => block !== victim);
    return victim?.path ?? null;
  }

  insert(path: string, role: BlockRole): void {
    const reused = this.ghosts.includes(path);
    this.ghosts = this.ghosts.filter((other) => other !== path);
    this.blocks.push({ path, role, pins: 0, usedAt: ++this.uses, reused, handedOn: false });
  }
}

describe('whatever is done to it, a residency', () => {
  const path = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 4 });
  const role = fc.constantFrom<BlockRole>('home', 'guest');
  const nth = fc.nat(20);
  const action = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('insert' as const), path, role }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constantFrom('remove' as const, 'pin' as const, 'evict' as const, 'handOn' as const),
        path,
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('unpin' as const), nth }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('touch' as const), paths: fc.array(path, { maxLength: 4 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('role' as const), path, role }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('retain' as const), paths: fc.array(path, { maxLength: 4 }) }),
    },
  );

  /** A pin, and the resident that it is of; null once that was removed. */
  interface OpenPin {
    readonly pin: Pin<string>;
    readonly of: { pins: number } | null;
  }

  class Play {
    readonly tier: Paths;
    readonly naive: NaiveResidency;
    open: OpenPin[] = [];

    constructor(readonly budget: number) {
      this.tier = new Paths(budget);
      this.naive = new NaiveResidency(budget);
    }

    /** Makes room as a tier does, evicting never the block's parent. */
    insert(path: string, role: BlockRole): void {
      const { tier, naive, budget } = this;
      if (naive.find(path)) return;
      const parent = meta(path).parent;
      while (tier.size >= budget) {
        const gone = tier.evict(parent);
        expect(gone).toBe(naive.evict(parent));
        if (gone === null) return;
      }
      tier.add(path, role);
      naive.insert(path, role);
    }

    pin(path: string): void {
      const block = this.naive.find(path);
      const pin = this.tier.pin(path);
      expect(pin?.value).toBe(block?.path);
      if (!pin || !block) return;
      block.pins++;
      this.open.push({ pin, of: block });
    }

    unpin(nth: number): void {
      const [one] = this.open.splice(nth % Math.max(1, this.open.length), 1);
      one?.pin.unpin();
      if (one?.of) one.of.pins--;
    }

    remove(path: string): void {
      const { tier, naive } = this;
      const block = naive.find(path);
      const freed = tier.freed.length;
      expect(tier.remove(path)).toBe(block !== undefined);
      naive.blocks = naive.blocks.filter((other) => other !== block);
      expect(tier.freed.slice(freed)).toEqual(block?.pins === 0 ? [path] : []);
      this.open = this.open.map((one) => (block && one.of === block ? { pin: one.pin, of: null } : one));
    }

    check(): void {
      const { tier, naive } = this;
      expect(tier.size).toBeLessThanOrEqual(this.budget);
      expect(tier.pins).toBe(this.open.length);
      expect([...tier.keys()].sort()).toEqual(naive.blocks.map((block) => block.path).sort());
      for (const { pin, of } of this.open) {
        if (of !== null) expect(tier.get(pin.value)).toBe(pin.value);
      }
    }
  }

  it('agrees with an exhaustive search, and stays within its budget', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 8 }), fc.array(action, { maxLength: 80 }), (budget, actions) => {
        const play = new Play(budget);
        const { tier, naive } = play;
        for (const act of actions) {
          if (act.do === 'insert') play.insert(act.path, act.role);
          if (act.do === 'pin') play.pin(act.path);
          if (act.do === 'unpin') play.unpin(act.nth);
          if (act.do === 'remove') play.remove(act.path);
          if (act.do === 'evict') expect(tier.evict(act.path)).toBe(naive.evict(act.path));
          if (act.do === 'handOn') {
            tier.handOn(act.path);
            const block = naive.find(act.path);
            if (block) block.handedOn = true;
          }
          if (act.do === 'touch') {
            for (const used of act.paths) {
              tier.touch(used);
              const block = naive.find(used);
              if (block) Object.assign(block, { usedAt: ++naive.uses, reused: true, handedOn: false });
            }
          }
          if (act.do === 'retain') {
            tier.retain(new Set(act.paths));
            naive.retained = new Set(act.paths);
          }
          if (act.do === 'role') {
            tier.setRole(act.path, act.role);
            const block = naive.find(act.path);
            if (block) block.role = act.role;
          }
          play.check();
        }
        const order = [...tier.evictionOrder()];
        expect(order.map(() => naive.evict(null))).toEqual(order);
        expect(naive.evict(null)).toBeNull();
        expect(order.map(() => tier.evict(null))).toEqual(order);
        expect(tier.evict(null)).toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  it('frees the memory of each block that it removed once, when its last pin is gone', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const play = new Play(8);
        let removed = 0;
        for (const act of actions) {
          if (act.do === 'insert') play.insert(act.path, act.role);
          if (act.do === 'pin') play.pin(act.path);
          if (act.do === 'unpin') play.unpin(act.nth);
          if (act.do !== 'remove') continue;
          if (play.tier.has(act.path)) removed++;
          play.remove(act.path);
        }
        const left = play.tier.size;
        play.tier.clear();
        while (play.open.length > 0) play.unpin(0);
        expect(play.tier.freed.length).toBe(removed + left);
        expect(play.tier.pins).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
