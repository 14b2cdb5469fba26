import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { settled } from '../../../../src/clock.js';
import type { BlockMeta } from '../../../../src/core/block.js';
import type { Reservation } from '../../../../src/core/reservation.js';
import type { DeviceBlock } from '../../../../src/device/device.js';
import { digestOf } from '../../../../src/digest.js';
import { InternalError } from '../../../../src/errors.js';
import type { BlockOrigin } from '../../../../workers/announced.js';
import type { PinnedDeviceBlock } from '../../../../workers/cache/pinned-device-block.js';
import { BLOCK_BYTES, Cache, chain, markOf, SELF } from '../support/cache.js';

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

  const sealed = (meta: BlockMeta, digest = '0'.repeat(16)) => ({ ...meta, digest, maker: SELF });

  function reserve(meta: BlockMeta, origin: BlockOrigin = 'fetched'): Reservation<Uint8Array, Promise<void>> {
    const reserved = cache.store.reserveBytes(sealed(meta), origin);
    if (typeof reserved === 'string') throw new Error(reserved);
    return reserved;
  }

  it('gives a block only once its bytes are final', async () => {
    const { store } = open(2);
    const [meta] = chain('a', 1);
    const reserved = reserve(meta!);
    expect(store.has(meta!.key)).toBe(false);
    expect(store.pinOnDevice(meta!.key)).toBeNull();
    expect(store.comes(meta!.key)).toBe(true);
    await reserved.commit();
    expect(store.has(meta!.key)).toBe(true);
    expect(store.comes(meta!.key)).toBe(false);
    expect(store.tiers[0]!.bytes).toBe(BLOCK_BYTES);
  });

  it('takes a repair of a block that it retains in place of another, and never evicts it', async () => {
    const { store } = open(2);
    const [retained, ...others] = ['a', 'b', 'c', 'd'].map((name) => chain(name, 1)[0]!);
    await cache.bring(others.slice(0, 2));
    expect(store.admit(sealed(retained!), 'spare')).toBe('full');
    store.retain(new Set([retained!.key]));
    const repair = store.admit(sealed(retained!), 'spare');
    if (typeof repair === 'string') throw new Error(repair);
    await repair.commit();
    for (const other of others) await cache.bring([other]).catch(() => {});
    expect(store.has(retained!.key)).toBe(true);
    store.retain(new Set());
    await cache.bring(others.filter(({ key }) => !store.has(key)));
    expect(store.has(retained!.key)).toBe(false);
  });

  it('takes one block of a key at a time, from whomever it comes', async () => {
    const { store } = open(3);
    const [meta] = chain('a', 1);
    const reserved = reserve(meta!);
    expect(store.reserveBytes(sealed(meta!), 'fetched')).toBe('present');
    expect(store.reserve(meta!)).toBeNull();
    // It may still not come, so nobody who pushes it may count on it.
    expect(store.admit(sealed(meta!))).toBe('full');
    await reserved.commit();
    expect(store.reserveBytes(sealed(meta!), 'fetched')).toBe('present');
    expect(store.reserve(meta!)).toBeNull();
    expect(store.admit(sealed(meta!))).toBe('present');
  });

  it('refuses to end a reservation twice', async () => {
    open(2);
    const [a, b] = [chain('a', 1)[0]!, chain('b', 1)[0]!];
    const aborted = reserve(a);
    aborted.abort();
    expect(() => aborted.abort()).toThrow(InternalError);
    expect(() => aborted.commit()).toThrow(InternalError);
    const committed = reserve(b);
    await committed.commit();
    expect(() => committed.abort()).toThrow(InternalError);
    expect(() => committed.commit()).toThrow(InternalError);
    expect(cache.device.memory().blocks).toBe(1);
  });

  it('seals a computed block with the digest of its bytes', async () => {
    const { store } = open(1);
    const [meta] = chain('a', 1);
    const reserved = store.reserve(meta!)!;
    const bytes = cache.bytes(reserved.memory);
    bytes.set(Uint8Array.from(bytes, (_, i) => i));
    reserved.commit();
    await store.idle();
    expect(store.sealed(meta!.key)).toEqual({ ...meta, digest: digestOf(Uint8Array.from(bytes)), maker: SELF });
    expect(cache.events).toEqual(['+computed']);
  });

  it('evicts the least recently used block, and never one that is being read', async () => {
    const { store } = open(3);
    const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map((name) => chain(name, 1)[0]!);
    await cache.bring([a!, b!, c!]);
    store.pinOnDevice(a!.key)!.unpin();
    const any = (await store.pin(a!.key, 'copy'))!;
    const onDevice = store.pinOnDevice(b!.key)!;
    await cache.bring([d!]);
    expect(store.keys().sort()).toEqual([a!.key, b!.key, d!.key].sort());
    any.unpin();
    any.unpin();
    onDevice.unpin();
    for (const { key } of [a!, d!]) store.pinOnDevice(key)!.unpin();
    await cache.bring([e!]);
    expect(store.keys().sort()).toEqual([a!.key, d!.key, e!.key].sort());
    expect(cache.events.filter((event) => event === '-evicted').length).toBe(2);
  });

  it('has no memory if all blocks are being read', async () => {
    const { store } = open(1);
    const [a, b] = [chain('a', 1)[0]!, chain('b', 1)[0]!];
    await cache.bring([a]);
    const pin = store.pinOnDevice(a.key)!;
    expect(store.reserveBytes(sealed(b), 'fetched')).toBe('full');
    expect(store.admit(sealed(b))).toBe('full');
    expect(store.reserve(b)).toBeNull();
    pin.unpin();
    reserve(b).abort();
  });

  it('takes a repair into free memory alone', async () => {
    const { store } = open(2);
    const [first, second, third] = ['a', 'b', 'c'].map((name) => chain(name, 1)[0]!);
    await reserve(first!).commit();
    const repair = store.admit(sealed(second!), 'spare');
    if (typeof repair === 'string') throw new Error(repair);
    await repair.commit();
    expect(store.admit(sealed(first!), 'spare')).toBe('present');
    expect(store.admit(sealed(third!), 'spare')).toBe('full');
    expect([store.has(first!.key), store.has(second!.key)]).toEqual([true, true]);
    // A new block takes the place of another.
    const pushed = store.admit(sealed(third!));
    if (typeof pushed === 'string') throw new Error(pushed);
    pushed.abort();
    expect(store.blocks).toBe(1);
  });

  it('keeps the beginning of a prompt that is longer than the cache', () => {
    const { store } = open(4);
    const blocks = chain('long', 7);
    const kept = blocks.map((meta) => {
      const reserved = store.reserve(meta);
      reserved?.commit();
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

  it('forgets all blocks, including those on their way; blocks being read stay for their readers alone', async () => {
    const { store } = open(4);
    const [a, b] = [chain('a', 2), chain('b', 2)];
    await cache.bring(a);
    const pinned = [store.pinOnDevice(a[0]!.key)!, store.pinOnDevice(a[0]!.key)!];
    const reserved = reserve(b[0]!);
    const push = store.admit(sealed(b[1]!));
    expect(store.reset()).toBe(2);
    expect(store.keys()).toEqual([]);
    expect(store.pinOnDevice(a[0]!.key)).toBeNull();
    await reserved.commit();
    if (typeof push !== 'string') await push.commit();
    expect(store.keys()).toEqual([]);
    expect(cache.bytes(pinned[0]!.block)[0]).toBe(markOf(a[0]!.key));
    // The same block may come again while the old one is still read.
    await cache.bring(a);
    expect(cache.device.memory().blocks).toBe(3);
    pinned[0]!.unpin();
    expect(cache.device.memory().blocks).toBe(3);
    pinned[1]!.unpin();
    expect(cache.device.memory().blocks).toBe(2);
    expect(cache.run(a)).toBe(2);
  });

  it('distinguishes blocks that a peer computed from blocks computed or used here', async () => {
    const { store } = open(3);
    const [a, b, c] = ['a', 'b', 'c'].map((name) => chain(name, 1)[0]!);
    cache.compute([a!]);
    await cache.bring([b!], 'fetched');
    await cache.bring([c!], 'pushed');
    const foreign = () =>
      [a!, b!, c!].map(({ key }) => {
        const pinned = store.pinOnDevice(key)!;
        pinned.unpin();
        return pinned.foreign;
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

  it('reports when a block is no longer read or written', async () => {
    const { store } = open(2);
    await store.quiet();
    const [a, b] = [chain('a', 1)[0]!, chain('b', 1)[0]!];
    await cache.bring([a]);
    const pinned = [store.pinOnDevice(a.key)!, store.pinOnDevice(a.key)!];
    const reserved = reserve(b);
    let quiet = false;
    const wait = store.quiet().then(() => (quiet = true));
    pinned[0]!.unpin();
    pinned[0]!.unpin();
    await settled();
    expect(quiet).toBe(false);
    pinned[1]!.unpin();
    await settled();
    expect(quiet).toBe(false);
    reserved.abort();
    await wait;
    expect(store.reset()).toBe(1);
  });

  it('reports when a block is no longer on its way, with or without success', async () => {
    const { store } = open(2);
    const [a, b] = [chain('a', 1)[0]!, chain('b', 1)[0]!];
    const { signal } = new AbortController();
    await store.settled(a.key, signal);
    const [first, second] = [reserve(a, 'pushed'), reserve(b)];
    const order: string[] = [];
    const waits = [
      store.settled(a.key, signal).then(() => order.push(`a ${store.has(a.key)}`)),
      store.settled(b.key, signal).then(() => order.push(`b ${store.has(b.key)}`)),
    ];
    second.abort();
    await first.commit();
    await Promise.all(waits);
    expect(order.sort()).toEqual(['a true', 'b false']);
  });
});

describe('a block store in any order of events', () => {
  const CHAINS = ['a', 'b', 'c'].map((name) => chain(name, 5));
  const BLOCKS = CHAINS.flat();

  type Op =
    | { readonly do: 'reserveBytes' | 'reserve' | 'admit' | 'pin'; readonly block: number }
    | { readonly do: 'commit' | 'abort'; readonly nth: number }
    | { readonly do: 'unpin'; readonly nth: number }
    | { readonly do: 'reset' }
    | { readonly do: 'roles' };

  const block = fc.nat(BLOCKS.length - 1);
  const nth = fc.nat(20);
  const op: fc.Arbitrary<Op> = fc.oneof(
    fc.record({ do: fc.constantFrom('reserveBytes', 'reserve', 'admit', 'pin', 'pin'), block }),
    fc.record({ do: fc.constantFrom('commit', 'commit', 'commit', 'abort'), nth }),
    fc.record({ do: fc.constant('unpin'), nth }),
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('reset', 'roles') }) },
  );

  interface Open {
    readonly meta: BlockMeta;
    readonly resets: number;
    readonly bytes: Uint8Array;
    commit(): Promise<void>;
    abort(): void;
  }

  /** Plays the operations on a real store, and checks it after each against what must hold whatever the order of eviction is. */
  class Play {
    readonly cache: Cache;
    readonly open: Open[] = [];
    readonly pins: { readonly meta: BlockMeta; readonly pinned: PinnedDeviceBlock }[] = [];
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
        for (const { pinned } of this.pins) this.gone.add(pinned.block);
        store.reset();
      } else if (op.do === 'roles') {
        this.cache.role = this.cache.role === 'home' ? 'guest' : 'home';
        store.reassignRoles();
      } else if ('block' in op) {
        this.onBlock(op.do, BLOCKS[op.block]!);
      } else if (op.do === 'unpin') {
        const [pin] = this.pins.splice(op.nth % Math.max(1, this.pins.length), 1);
        pin?.pinned.unpin();
      } else {
        await this.end(op.do, op.nth);
      }
      await this.cache.store.idle();
      this.check(before);
    }

    async end(how: 'commit' | 'abort', nth: number): Promise<void> {
      const [reserved] = this.open.splice(nth % Math.max(1, this.open.length), 1);
      if (!reserved) return;
      reserved.bytes.fill(markOf(reserved.meta.key));
      await reserved[how]();
      expect(this.cache.store.has(reserved.meta.key)).toBe(how === 'commit' && reserved.resets === this.resets);
    }

    private onBlock(how: 'reserveBytes' | 'reserve' | 'admit' | 'pin', meta: BlockMeta): void {
      const { store } = this.cache;
      const { resets } = this;
      const here = store.has(meta.key);
      const coming = this.open.some((reserved) => reserved.meta.key === meta.key);
      if (how === 'pin') {
        const pinned = store.pinOnDevice(meta.key);
        expect(pinned !== null).toBe(here);
        if (pinned) this.pins.push({ meta, pinned });
        return;
      }
      const fits = this.fits(meta);
      const sealed = { ...meta, digest: '0'.repeat(16), maker: SELF };
      const outcome = { present: here || coming, full: !fits };
      const add = (block: Pick<Open, 'bytes' | 'commit' | 'abort'> | null, refused: boolean) => {
        expect(block === null).toBe(refused);
        if (block) this.open.push({ meta, resets, ...block });
      };
      if (how === 'reserve') {
        const orphan = meta.parent !== null && !store.has(meta.parent) && !this.comes(meta.parent);
        const reserved = store.reserve(meta);
        const bytes = reserved && this.cache.bytes(reserved.memory);
        add(
          reserved && { bytes: bytes!, commit: async () => reserved.commit(), abort: () => reserved.abort() },
          outcome.present || outcome.full || orphan,
        );
      } else if (how === 'admit') {
        const reserved = store.admit(sealed);
        const refused = store.has(meta.key) ? 'present' : outcome.present || outcome.full ? 'full' : null;
        expect(typeof reserved === 'string' ? reserved : null).toBe(refused);
        if (typeof reserved === 'string') return;
        add({ bytes: reserved.memory, commit: () => reserved.commit(), abort: () => reserved.abort() }, false);
      } else {
        const reserved = store.reserveBytes(sealed, 'fetched');
        const refused = outcome.present ? 'present' : outcome.full ? 'full' : null;
        expect(typeof reserved === 'string' ? reserved : null).toBe(refused);
        if (typeof reserved === 'string') return;
        add({ bytes: reserved.memory, commit: () => reserved.commit(), abort: () => reserved.abort() }, false);
      }
    }

    /** Whether a reset came since it was pinned. */
    private isGone({ block }: PinnedDeviceBlock): boolean {
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
          !this.pins.some((pin) => pin.meta.key === key && !this.isGone(pin.pinned)) &&
          !BLOCKS.some((child) => child.parent === key && store.has(child.key)),
      );
    }

    private check(before: ReadonlySet<string>): void {
      const { store, device, told } = this.cache;
      const keys = store.keys();
      const gone = new Set(this.pins.flatMap(({ pinned }) => (this.isGone(pinned) ? [pinned.block] : [])));
      expect(device.memory().blocks).toBe(keys.length + this.open.length + gone.size);
      expect(device.memory().blocks).toBeLessThanOrEqual(this.budget);
      expect(new Set(keys)).toEqual(told);
      for (const { meta, pinned } of this.pins) {
        if (!this.isGone(pinned)) expect(store.has(meta.key)).toBe(true);
        expect(this.cache.bytes(pinned.block).every((byte) => byte === markOf(meta.key))).toBe(true);
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
          while (play.open.length > 0) await play.end('abort', 0);
          for (const { pinned } of play.pins) pinned.unpin();
          play.cache.store.reset();
          expect(await play.cache.end()).toEqual([]);
        }),
        { numRuns: 100 },
      );
    },
  );
});
