import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { settled } from '../../../../src/clock.js';
import type { BlockMeta } from '../../../../src/core/block.js';
import type { DeviceBlock } from '../../../../src/device/device.js';
import { digestOf } from '../../../../src/digest.js';
import { InternalError } from '../../../../src/errors.js';
import type { BlockPlace } from '../../../../workers/cache/block-place.js';
import type { BorrowedBlock } from '../../../../workers/cache/block-store.js';
import { BLOCK_BYTES, Cache, chain, markOf } from '../support/cache.js';

const DEVICES = ['viewed', 'remote'] as const;

describe.each(DEVICES)('a block store over a %s device', (device) => {
  let cache: Cache;
  const open = (budgetBlocks: number) => {
    cache = new Cache(budgetBlocks, { device });
    return cache;
  };
  afterEach(async () => {
    cache.store.reset();
    expect(await cache.end()).toEqual([]);
  });

  function placeOf(meta: BlockMeta): BlockPlace {
    const place = cache.store.place(meta);
    if (typeof place === 'string') throw new Error(place);
    return place;
  }

  it('gives a block only once its bytes are final', async () => {
    const { store } = open(2);
    const [meta] = chain('a', 1);
    const place = placeOf(meta!);
    expect(store.has(meta!.key)).toBe(false);
    expect(store.borrow(meta!.key)).toBeNull();
    expect(store.comes(meta!.key)).toBe(true);
    await place.commit({ ...meta!, digest: '0'.repeat(16) }, 'fetched');
    expect(store.has(meta!.key)).toBe(true);
    expect(store.comes(meta!.key)).toBe(false);
    expect(store.tiers[0]!.bytes).toBe(BLOCK_BYTES);
  });

  it('takes one block of a key at a time, from whomever it comes', async () => {
    const { store } = open(3);
    const [meta] = chain('a', 1);
    const place = placeOf(meta!);
    const sealed = { ...meta!, digest: '0'.repeat(16) };
    expect(store.place(meta!)).toBe('held');
    expect(store.reserve(meta!)).toBeNull();
    // It may still not come, so nobody who pushes it may count on it.
    expect(store.admit(sealed)).toEqual({ kind: 'full' });
    await place.commit(sealed, 'fetched');
    expect(store.place(meta!)).toBe('held');
    expect(store.reserve(meta!)).toBeNull();
    expect(store.admit(sealed)).toEqual({ kind: 'held' });
  });

  it('refuses to end a place twice', async () => {
    open(2);
    const [a, b] = [chain('a', 1)[0]!, chain('b', 1)[0]!];
    const abandoned = placeOf(a);
    abandoned.abandon();
    expect(() => abandoned.abandon()).toThrow(InternalError);
    expect(() => abandoned.commit({ ...a, digest: '' }, 'fetched')).toThrow(InternalError);
    const committed = placeOf(b);
    await committed.commit({ ...b, digest: '' }, 'fetched');
    expect(() => committed.abandon()).toThrow(InternalError);
    expect(cache.device.memory().blocks).toBe(1);
  });

  it('seals what was computed with the digest of its bytes', async () => {
    const { store } = open(1);
    const [meta] = chain('a', 1);
    const reserved = store.reserve(meta!)!;
    const bytes = cache.bytes(reserved.block);
    bytes.set(Uint8Array.from(bytes, (_, i) => i));
    reserved.seal();
    await store.idle();
    expect(store.sealed(meta!.key)).toEqual({ ...meta, digest: digestOf(Uint8Array.from(bytes)) });
    expect(cache.events).toEqual(['+computed']);
  });

  it('evicts the least recently used, and never what is read', async () => {
    const { store } = open(3);
    const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map((name) => chain(name, 1)[0]!);
    await cache.bring([a!, b!, c!]);
    const lent = (await store.lend(a!.key))!;
    const borrowed = store.borrow(b!.key)!;
    await cache.bring([d!]);
    expect(store.keys().sort()).toEqual([a!.key, b!.key, d!.key].sort());
    lent.release();
    lent.release();
    borrowed.release();
    store.borrow(a!.key)!.release();
    await cache.bring([e!]);
    expect(store.keys().sort()).toEqual([a!.key, d!.key, e!.key].sort());
    expect(cache.events.filter((event) => event === '-evicted').length).toBe(2);
  });

  it('has no place where everything is read', async () => {
    const { store } = open(1);
    const [a, b] = [chain('a', 1)[0]!, chain('b', 1)[0]!];
    const [sealed] = await cache.bring([a]);
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

  it('evicts another prompt rather than the parent of the new block', async () => {
    open(3);
    const [own, other] = [chain('own', 3), chain('other', 1)];
    await cache.bring(own.slice(0, 2));
    await cache.bring(other);
    await cache.bring(own.slice(2));
    expect(cache.run(own)).toBe(3);
    expect(cache.store.has(other[0]!.key)).toBe(false);
  });

  it('forgets everything, and what is on its way; what is read stays for its readers alone', async () => {
    const { store } = open(4);
    const [a, b] = [chain('a', 2), chain('b', 2)];
    await cache.bring(a);
    const borrowed = [store.borrow(a[0]!.key)!, store.borrow(a[0]!.key)!];
    const place = placeOf(b[0]!);
    const push = store.admit({ ...b[1]!, digest: '0'.repeat(16) });
    expect(store.reset()).toBe(2);
    expect(store.keys()).toEqual([]);
    expect(store.borrow(a[0]!.key)).toBeNull();
    await place.commit({ ...b[0]!, digest: '0'.repeat(16) }, 'fetched');
    if (push.kind === 'accepted') await push.commit();
    expect(store.keys()).toEqual([]);
    expect(cache.bytes(borrowed[0]!.block)[0]).toBe(markOf(a[0]!.key));
    // The same block may come again while the old one is still read.
    await cache.bring(a);
    expect(cache.device.memory().blocks).toBe(3);
    borrowed[0]!.release();
    expect(cache.device.memory().blocks).toBe(3);
    borrowed[1]!.release();
    expect(cache.device.memory().blocks).toBe(2);
    expect(cache.run(a)).toBe(2);
  });

  it('tells what a peer computed from what was computed or used here', async () => {
    const { store } = open(3);
    const [a, b, c] = ['a', 'b', 'c'].map((name) => chain(name, 1)[0]!);
    cache.compute([a!]);
    await cache.bring([b!], 'fetched');
    await cache.bring([c!], 'pushed');
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

  it('gives homes the last word when roles change', async () => {
    const { store } = open(2);
    const [a, b, c] = ['a', 'b', 'c'].map((name) => chain(name, 1)[0]!);
    await cache.bring([a!]);
    cache.role = 'home';
    store.reassignRoles();
    cache.role = 'guest';
    await cache.bring([b!, c!]);
    expect(store.keys().sort()).toEqual([a!.key, c!.key].sort());
  });

  it('says when nothing reads or writes a block any more', async () => {
    const { store } = open(2);
    await store.quiet();
    const [a, b] = [chain('a', 1)[0]!, chain('b', 1)[0]!];
    await cache.bring([a]);
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
    await first.commit({ ...a, digest: '' }, 'pushed');
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
    commit(): Promise<void>;
    abandon(): void;
  }

  /** Plays the operations on a real store, and checks it after each against what must hold whatever the order of eviction is. */
  class Play {
    readonly cache: Cache;
    readonly open: Open[] = [];
    readonly pins: { readonly meta: BlockMeta; readonly borrowed: BorrowedBlock }[] = [];
    resets = 0;
    private readonly gone = new Set<DeviceBlock>();

    constructor(
      readonly budget: number,
      device: 'viewed' | 'remote',
    ) {
      this.cache = new Cache(budget, { device });
    }

    async run(op: Op): Promise<void> {
      const { store } = this.cache;
      const before = new Set(store.keys());
      if (op.do === 'reset') {
        this.resets++;
        for (const { borrowed } of this.pins) this.gone.add(borrowed.block);
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
        await this.end(op.do, op.nth);
      }
      await this.cache.store.idle();
      this.check(before);
    }

    async end(how: 'commit' | 'abandon', nth: number): Promise<void> {
      const [place] = this.open.splice(nth % Math.max(1, this.open.length), 1);
      if (!place) return;
      place.bytes.fill(markOf(place.meta.key));
      await place[how]();
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
      const add = (block: Pick<Open, 'bytes' | 'commit' | 'abandon'> | null, refused: boolean) => {
        expect(block === null).toBe(refused);
        if (block) this.open.push({ meta, resets, ...block });
      };
      if (how === 'reserve') {
        const orphan = meta.parent !== null && !store.has(meta.parent) && !this.comes(meta.parent);
        const reserved = store.reserve(meta);
        const bytes = reserved && this.cache.bytes(reserved.block);
        add(
          reserved && { bytes: bytes!, commit: async () => reserved.seal(), abandon: () => reserved.abandon() },
          outcome.held || outcome.full || orphan,
        );
      } else if (how === 'admit') {
        const admitted = store.admit(sealed);
        expect(admitted.kind).toBe(store.has(meta.key) ? 'held' : outcome.held || outcome.full ? 'full' : 'accepted');
        if (admitted.kind !== 'accepted') return;
        add({ bytes: admitted.into, commit: () => admitted.commit(), abandon: () => admitted.abort() }, false);
      } else {
        const place = store.place(meta);
        expect(typeof place === 'string' ? place : 'placed').toBe(
          outcome.held ? 'held' : outcome.full ? 'full' : 'placed',
        );
        if (typeof place === 'string') return;
        add(
          { bytes: place.into, commit: () => place.commit(sealed, 'fetched'), abandon: () => place.abandon() },
          false,
        );
      }
    }

    /** Whether a reset came since it was borrowed. */
    private isGone({ block }: BorrowedBlock): boolean {
      return this.gone.has(block);
    }

    private comes(key: string): boolean {
      return this.open.some(({ meta }) => meta.key === key);
    }

    /** Whether there is memory, or something that may go. */
    private fits(meta: BlockMeta): boolean {
      const { store } = this.cache;
      if (this.cache.device.memory().blocks < this.budget) return true;
      return BLOCKS.some(
        ({ key }) =>
          store.has(key) &&
          key !== meta.parent &&
          !this.pins.some((pin) => pin.meta.key === key && !this.isGone(pin.borrowed)) &&
          !BLOCKS.some((child) => child.parent === key && store.has(child.key)),
      );
    }

    private check(before: ReadonlySet<string>): void {
      const { store, device, told } = this.cache;
      const keys = store.keys();
      const gone = new Set(this.pins.flatMap(({ borrowed }) => (this.isGone(borrowed) ? [borrowed.block] : [])));
      expect(device.memory().blocks).toBe(keys.length + this.open.length + gone.size);
      expect(device.memory().blocks).toBeLessThanOrEqual(this.budget);
      expect(new Set(keys)).toEqual(told);
      for (const { meta, borrowed } of this.pins) {
        if (!this.isGone(borrowed)) expect(store.has(meta.key)).toBe(true);
        expect(this.cache.bytes(borrowed.block).every((byte) => byte === markOf(meta.key))).toBe(true);
      }
      // A block goes before the block that it follows.
      for (const { key, parent } of BLOCKS)
        if (parent !== null && before.has(key) && store.has(key) && before.has(parent))
          expect(store.has(parent)).toBe(true);
    }
  }

  it.each(DEVICES)(
    'keeps its budget, what is read, the order of prefixes, and no memory, over a %s device',
    async (device) => {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 6 }), fc.array(op, { maxLength: 60 }), async (budget, ops) => {
          const play = new Play(budget, device);
          for (const one of ops) await play.run(one);
          while (play.open.length > 0) await play.end('abandon', 0);
          for (const { borrowed } of play.pins) borrowed.release();
          play.cache.store.reset();
          expect(await play.cache.end()).toEqual([]);
        }),
        { numRuns: 100 },
      );
    },
  );
});
