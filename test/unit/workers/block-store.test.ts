import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { settled } from '../../../src/clock.js';
import type { BlockMeta } from '../../../src/core/block.js';
import { InternalError } from '../../../src/errors.js';
import { digestOf } from '../../../src/peer/digest.js';
import type { BlockPlace, BorrowedBlock } from '../../../workers/block-store.js';
import { BLOCK_BYTES, Cache, chain, markOf } from './support/cache.js';

describe('a block store', () => {
  let cache: Cache;
  const open = (budgetBlocks: number) => {
    cache = new Cache(budgetBlocks);
    return cache;
  };
  afterEach(() => expect(cache.close()).toEqual([]));

  function placeOf(meta: BlockMeta): BlockPlace {
    const place = cache.store.place(meta);
    if (typeof place === 'string') throw new Error(place);
    return place;
  }

  it('gives a block only once its bytes are final', () => {
    const { store } = open(2);
    const [meta] = chain('a', 1);
    const place = placeOf(meta!);
    expect(store.has(meta!.key)).toBe(false);
    expect(store.borrow(meta!.key)).toBeNull();
    expect(store.comes(meta!.key)).toBe(true);
    place.commit({ ...meta!, digest: '0'.repeat(16) }, 'fetched');
    expect(store.has(meta!.key)).toBe(true);
    expect(store.comes(meta!.key)).toBe(false);
    expect(store.usedBytes).toBe(BLOCK_BYTES);
  });

  it('takes one block of a key at a time, from whomever it comes', () => {
    const { store } = open(3);
    const [meta] = chain('a', 1);
    const place = placeOf(meta!);
    const sealed = { ...meta!, digest: '0'.repeat(16) };
    expect(store.place(meta!)).toBe('held');
    expect(store.reserve(meta!)).toBeNull();
    // It may still not come, so nobody who pushes it may count on it.
    expect(store.admit(sealed)).toEqual({ kind: 'full' });
    place.commit(sealed, 'fetched');
    expect(store.place(meta!)).toBe('held');
    expect(store.reserve(meta!)).toBeNull();
    expect(store.admit(sealed)).toEqual({ kind: 'held' });
  });

  it('refuses to end a place twice', () => {
    open(2);
    const [a, b] = [chain('a', 1)[0]!, chain('b', 1)[0]!];
    const abandoned = placeOf(a);
    abandoned.abandon();
    expect(() => abandoned.abandon()).toThrow(InternalError);
    expect(() => abandoned.commit({ ...a, digest: '' }, 'fetched')).toThrow(InternalError);
    const committed = placeOf(b);
    committed.commit({ ...b, digest: '' }, 'fetched');
    expect(() => committed.abandon()).toThrow(InternalError);
    expect(cache.device.memory().blocks).toBe(1);
  });

  it('seals what was computed with the digest of its bytes', () => {
    const { store } = open(1);
    const [meta] = chain('a', 1);
    const reserved = store.reserve(meta!)!;
    const bytes = store.bytes(reserved.block);
    bytes.set(Uint8Array.from(bytes, (_, i) => i));
    reserved.seal();
    expect(store.sealed(meta!.key)).toEqual({ ...meta, digest: digestOf(Uint8Array.from(bytes)) });
    expect(cache.events).toEqual(['+computed']);
  });

  it('evicts the least recently used, and never what is read', async () => {
    const { store } = open(3);
    const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map((name) => chain(name, 1)[0]!);
    cache.fill([a!, b!, c!]);
    const lent = (await store.lend(a!.key))!;
    const borrowed = store.borrow(b!.key)!;
    cache.fill([d!]);
    expect(store.keys().sort()).toEqual([a!.key, b!.key, d!.key].sort());
    lent.release();
    lent.release();
    borrowed.release();
    store.borrow(a!.key)!.release();
    cache.fill([e!]);
    expect(store.keys().sort()).toEqual([a!.key, d!.key, e!.key].sort());
    expect(cache.events.filter((event) => event === '-evicted').length).toBe(2);
  });

  it('has no place where everything is read', () => {
    const { store } = open(1);
    const [a, b] = [chain('a', 1)[0]!, chain('b', 1)[0]!];
    const [sealed] = cache.fill([a]);
    const borrowed = store.borrow(a.key)!;
    expect(store.place(b)).toBe('full');
    expect(store.admit({ ...sealed!, ...b })).toEqual({ kind: 'full' });
    expect(store.reserve(b)).toBeNull();
    borrowed.release();
    placeOf(b).abandon();
  });

  it('keeps the beginning of a prompt that is longer than the cache', () => {
    const { store } = open(4);
    const blocks = chain('long', 7);
    const kept = blocks.map((meta) => {
      const reserved = store.reserve(meta);
      reserved?.seal();
      return reserved !== null;
    });
    expect(kept).toEqual([true, true, true, true, false, false, false]);
    expect(cache.run(blocks)).toBe(4);
    expect(cache.events).not.toContain('-evicted');
  });

  it('evicts another prompt rather than the parent of the new block', () => {
    open(3);
    const [own, other] = [chain('own', 3), chain('other', 1)];
    cache.fill(own.slice(0, 2));
    cache.fill(other);
    cache.fill(own.slice(2));
    expect(cache.run(own)).toBe(3);
    expect(cache.store.has(other[0]!.key)).toBe(false);
  });

  it('forgets everything that nothing reads, and what is on its way', async () => {
    const { store } = open(4);
    const [a, b] = [chain('a', 2), chain('b', 2)];
    cache.fill(a);
    const borrowed = store.borrow(a[0]!.key)!;
    const place = placeOf(b[0]!);
    const push = store.admit({ ...b[1]!, digest: '0'.repeat(16) });
    expect(store.reset()).toBe(1);
    place.commit({ ...b[0]!, digest: '0'.repeat(16) }, 'fetched');
    if (push.kind === 'accepted') await push.commit();
    expect(store.keys()).toEqual([a[0]!.key]);
    expect(store.bytes(borrowed.block)[0]).toBe(markOf(a[0]!.key));
    borrowed.release();
    expect(cache.device.memory().blocks).toBe(1);
    cache.fill(b);
    expect(cache.run(b)).toBe(2);
  });

  it('tells what a peer computed from what was computed or used here', () => {
    const { store } = open(3);
    const [a, b, c] = ['a', 'b', 'c'].map((name) => chain(name, 1)[0]!);
    cache.fill([a!], 'computed');
    cache.fill([b!], 'fetched');
    cache.fill([c!], 'pushed');
    const foreign = () =>
      [a!, b!, c!].map(({ key }) => {
        const borrowed = store.borrow(key)!;
        borrowed.release();
        return borrowed.foreign;
      });
    expect(foreign()).toEqual([false, true, true]);
    store.adopt(b!.key);
    expect(foreign()).toEqual([false, false, true]);
  });

  it('gives homes the last word when roles change', () => {
    const { store } = open(2);
    const [a, b, c] = ['a', 'b', 'c'].map((name) => chain(name, 1)[0]!);
    cache.fill([a!]);
    cache.role = 'home';
    store.reassignRoles();
    cache.role = 'guest';
    cache.fill([b!, c!]);
    expect(store.keys().sort()).toEqual([a!.key, c!.key].sort());
  });

  it('says when nothing reads or writes a block any more', async () => {
    const { store } = open(2);
    await store.quiet();
    const [a, b] = [chain('a', 1)[0]!, chain('b', 1)[0]!];
    cache.fill([a]);
    const borrowed = [store.borrow(a.key)!, store.borrow(a.key)!];
    const place = placeOf(b);
    let quiet = false;
    const wait = store.quiet().then(() => (quiet = true));
    borrowed[0]!.release();
    borrowed[0]!.release();
    await settled();
    expect(quiet).toBe(false);
    borrowed[1]!.release();
    await settled();
    expect(quiet).toBe(false);
    place.abandon();
    await wait;
    expect(store.reset()).toBe(1);
  });

  it('says when a block is not on its way any more, whatever came of it', async () => {
    const { store } = open(2);
    const [a, b] = [chain('a', 1)[0]!, chain('b', 1)[0]!];
    const { signal } = new AbortController();
    await store.settled(a.key, signal);
    const [first, second] = [placeOf(a), placeOf(b)];
    const order: string[] = [];
    const waits = [
      store.settled(a.key, signal).then(() => order.push(`a ${store.has(a.key)}`)),
      store.settled(b.key, signal).then(() => order.push(`b ${store.has(b.key)}`)),
    ];
    second.abandon();
    first.commit({ ...a, digest: '' }, 'pushed');
    await Promise.all(waits);
    expect(order.sort()).toEqual(['a true', 'b false']);
  });
});

describe('a block store in any order of events', () => {
  const CHAINS = ['a', 'b', 'c'].map((name) => chain(name, 5));
  const BLOCKS = CHAINS.flat();

  type Op =
    | { readonly do: 'place' | 'reserve' | 'admit' | 'borrow'; readonly block: number }
    | { readonly do: 'commit' | 'abandon'; readonly nth: number }
    | { readonly do: 'release'; readonly nth: number }
    | { readonly do: 'reset' }
    | { readonly do: 'roles' };

  const block = fc.nat(BLOCKS.length - 1);
  const nth = fc.nat(20);
  const op: fc.Arbitrary<Op> = fc.oneof(
    fc.record({ do: fc.constantFrom('place', 'reserve', 'admit', 'borrow', 'borrow'), block }),
    fc.record({ do: fc.constantFrom('commit', 'commit', 'commit', 'abandon'), nth }),
    fc.record({ do: fc.constant('release'), nth }),
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('reset', 'roles') }) },
  );

  interface Open {
    readonly meta: BlockMeta;
    readonly resets: number;
    readonly bytes: Uint8Array;
    commit(): void;
    abandon(): void;
  }

  /** Plays the operations on a real store, and checks it after each against what must hold whatever the order of eviction is. */
  class Play {
    readonly cache: Cache;
    readonly open: Open[] = [];
    readonly pins: { readonly meta: BlockMeta; readonly borrowed: BorrowedBlock }[] = [];
    resets = 0;

    constructor(readonly budget: number) {
      this.cache = new Cache(budget);
    }

    run(op: Op): void {
      const { store } = this.cache;
      const before = new Set(store.keys());
      if (op.do === 'reset') {
        this.resets++;
        store.reset();
      } else if (op.do === 'roles') {
        this.cache.role = this.cache.role === 'home' ? 'guest' : 'home';
        store.reassignRoles();
      } else if ('block' in op) {
        this.onBlock(op.do, BLOCKS[op.block]!);
      } else if (op.do === 'release') {
        const [pin] = this.pins.splice(op.nth % Math.max(1, this.pins.length), 1);
        pin?.borrowed.release();
      } else {
        this.end(op.do, op.nth);
      }
      this.check(before);
    }

    end(how: 'commit' | 'abandon', nth: number): void {
      const [place] = this.open.splice(nth % Math.max(1, this.open.length), 1);
      if (!place) return;
      place.bytes.fill(markOf(place.meta.key));
      place[how]();
      expect(this.cache.store.has(place.meta.key)).toBe(how === 'commit' && place.resets === this.resets);
    }

    private onBlock(how: 'place' | 'reserve' | 'admit' | 'borrow', meta: BlockMeta): void {
      const { store } = this.cache;
      const { resets } = this;
      const here = store.has(meta.key);
      const coming = this.open.some((place) => place.meta.key === meta.key);
      if (how === 'borrow') {
        const borrowed = store.borrow(meta.key);
        expect(borrowed !== null).toBe(here);
        if (borrowed) this.pins.push({ meta, borrowed });
        return;
      }
      const fits = this.fits(meta);
      const sealed = { ...meta, digest: '0'.repeat(16) };
      const outcome = { held: here || coming, full: !fits };
      const add = (block: { bytes: Uint8Array; commit(): void; abandon(): void } | null, refused: boolean) => {
        expect(block === null).toBe(refused);
        if (block) this.open.push({ meta, resets, ...block });
      };
      if (how === 'reserve') {
        const orphan = meta.parent !== null && !store.has(meta.parent) && !this.comes(meta.parent);
        const reserved = store.reserve(meta);
        const bytes = reserved && store.bytes(reserved.block);
        add(
          reserved && { bytes: bytes!, commit: () => reserved.seal(), abandon: () => reserved.abandon() },
          outcome.held || outcome.full || orphan,
        );
      } else if (how === 'admit') {
        const admitted = store.admit(sealed);
        expect(admitted.kind).toBe(store.has(meta.key) ? 'held' : outcome.held || outcome.full ? 'full' : 'accepted');
        if (admitted.kind !== 'accepted') return;
        add({ bytes: admitted.into, commit: () => void admitted.commit(), abandon: () => admitted.abort() }, false);
      } else {
        const place = store.place(meta);
        expect(typeof place === 'string' ? place : 'placed').toBe(
          outcome.held ? 'held' : outcome.full ? 'full' : 'placed',
        );
        if (typeof place === 'string') return;
        const { block } = place;
        add(
          { bytes: store.bytes(block), commit: () => place.commit(sealed, 'fetched'), abandon: () => place.abandon() },
          false,
        );
      }
    }

    private comes(key: string): boolean {
      return this.open.some(({ meta }) => meta.key === key);
    }

    /** Whether there is memory, or something that may go. */
    private fits(meta: BlockMeta): boolean {
      const { store } = this.cache;
      if (store.blocks + this.open.length < this.budget) return true;
      return BLOCKS.some(
        ({ key }) =>
          store.has(key) &&
          key !== meta.parent &&
          !this.pins.some((pin) => pin.meta.key === key) &&
          !BLOCKS.some((child) => child.parent === key && store.has(child.key)),
      );
    }

    private check(before: ReadonlySet<string>): void {
      const { store, device, told } = this.cache;
      const keys = store.keys();
      expect(device.memory().blocks).toBe(keys.length + this.open.length);
      expect(device.memory().blocks).toBeLessThanOrEqual(this.budget);
      expect(new Set(keys)).toEqual(told);
      for (const { meta, borrowed } of this.pins) {
        expect(store.has(meta.key)).toBe(true);
        expect(store.bytes(borrowed.block).every((byte) => byte === markOf(meta.key))).toBe(true);
      }
      // A block goes before the block that it follows.
      for (const { key, parent } of BLOCKS)
        if (parent !== null && before.has(key) && store.has(key) && before.has(parent))
          expect(store.has(parent)).toBe(true);
    }
  }

  it('keeps its budget, what is read, the order of prefixes, and no memory', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.array(op, { maxLength: 60 }), (budget, ops) => {
        const play = new Play(budget);
        for (const one of ops) play.run(one);
        while (play.open.length > 0) play.end('abandon', 0);
        for (const { borrowed } of play.pins) borrowed.release();
        expect(play.cache.close()).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });
});
