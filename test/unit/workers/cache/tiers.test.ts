import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { SimulatedClock, settled } from '../../../../src/clock.js';
import type { BlockMeta, PinnedBlock } from '../../../../src/core/block.js';
import { Unavailable } from '../../../../src/errors.js';
import { HEADER_BYTES } from '../../../../workers/cache/block-file.js';
import type { PinnedDeviceBlock } from '../../../../workers/cache/pinned-device-block.js';
import { DISK_PAUSE_MS } from '../../../../workers/cache/write-pause.js';
import { PrefixLoader } from '../../../../workers/prefix/prefix-loader.js';
import type { RemoteDevice } from '../../../support/remote-device.js';
import { deferred } from '../../actors/world.js';
import { until } from '../../peer/support/until.js';
import { MemoryFiles } from '../support/block-files.js';
import { BLOCK_BYTES, Cache, type CacheOptions, chain, markOf, sealedOf } from '../support/cache.js';
import { refuseMemory } from '../support/no-memory.js';

const NEVER = new AbortController().signal;

/** The combinations of device and lower tiers: `blocks` are their budgets. */
const WORLDS = [
  { name: 'a viewed device over host memory', device: 'viewed', host: 4, disk: 0 },
  { name: 'a viewed device over a disk', device: 'viewed', host: 0, disk: 4 },
  { name: 'a viewed device over host memory and a disk', device: 'viewed', host: 3, disk: 4 },
  { name: 'a remote device over nothing', device: 'remote', host: 0, disk: 0 },
  { name: 'a remote device over host memory', device: 'remote', host: 4, disk: 0 },
  { name: 'a remote device over a disk', device: 'remote', host: 0, disk: 4 },
  { name: 'a remote device over host memory and a disk', device: 'remote', host: 2, disk: 4 },
] as const;

let cache: Cache;
let files: MemoryFiles;

function open(budgetBlocks: number, world: { device: 'viewed' | 'remote'; host: number; disk: number }): Cache {
  files = new MemoryFiles();
  files.budgetBytes = world.disk * (HEADER_BYTES + BLOCK_BYTES);
  cache = reopen(budgetBlocks, world);
  return cache;
}
function reopen(
  budgetBlocks: number,
  { device, host, disk }: { device: 'viewed' | 'remote'; host: number; disk: number },
): Cache {
  const options: CacheOptions = { device, hostBlocks: host, ...(disk > 0 ? { disk: { files, blocks: disk } } : {}) };
  return new Cache(budgetBlocks, options);
}
const singles = (...names: string[]) => names.map((name) => chain(name, 1)[0]!);
const tierOf = ({ key }: BlockMeta) => (cache.store.has(key) ? 'device' : (cache.lower.tierOf(key)?.name ?? null));
const uses = () => Object.fromEntries(cache.store.tiers.map(({ tier, blocks }) => [tier, blocks]));

async function expectPinned(meta: BlockMeta): Promise<void> {
  const pinned = await cache.store.pin(meta.key);
  expect(pinned?.block).toEqual(sealedOf(meta));
  expect(pinned?.bytes.every((byte) => byte === markOf(meta.key))).toBe(true);
  pinned!.unpin();
}

describe.each(WORLDS.filter(({ host, disk }) => host + disk > 0))('a store over $name', (world) => {
  afterEach(async () => expect(await cache.end()).toEqual([]));

  it('keeps blocks that the device has no room for, reports them while any tier has them, and pins them for peers', async () => {
    open(2, world);
    const blocks = singles('a', 'b', 'c', 'd');
    for (const block of blocks) {
      await cache.bring([block]);
      await cache.store.idle();
    }
    expect(blocks.map((block) => cache.store.has(block.key))).toEqual([false, false, true, true]);
    expect(cache.told).toEqual(new Set(blocks.map(({ key }) => key)));
    expect(cache.store.keys().sort()).toEqual(blocks.map(({ key }) => key).sort());
    for (const block of blocks) await expectPinned(block);
    // Nothing was moved by that.
    expect(blocks.map((block) => cache.store.has(block.key))).toEqual([false, false, true, true]);
    expect(cache.store.admit(sealedOf(blocks[0]!))).toBe('present');
  });

  it('retains a block in the highest tier that has it, and releases lower copies', async () => {
    open(2, world);
    const [deep, high, ...others] = singles(...'abcdefghijklmnopqrstuvwxyz');
    await cache.bring([deep!]);
    await cache.store.idle();
    await cache.bring(others.slice(0, 2));
    await cache.store.idle();
    await cache.bring([high!]);
    await cache.store.idle();
    expect([cache.store.has(deep!.key), cache.store.has(high!.key)]).toEqual([false, true]);
    cache.store.retain(new Set([deep!.key, high!.key]));
    for (const other of others) {
      await cache.bring([other]);
      await cache.store.idle();
    }
    expect([deep, high].map((block) => cache.store.sealed(block!.key) !== null)).toEqual([true, true]);
    expect(cache.store.has(high!.key)).toBe(true);
    expect(cache.lower.tierOf(high!.key)).toBeNull();
  });

  it('takes a repair as long as a lower tier has room for the block that makes way', async () => {
    open(1, world);
    let taken = 0;
    for (const block of singles(...'abcdefghijklmnopqrstuvwxyz')) {
      const repair = cache.store.admit(sealedOf(block), 'spare');
      if (typeof repair === 'string') break;
      repair.memory.fill(markOf(block.key));
      await repair.commit();
      await cache.store.idle();
      taken++;
    }
    expect(taken).toBeGreaterThan(1);
    expect(cache.store.blocks).toBe(taken);
  });

  it('brings a prompt back to the device when it is looked up, in order and once', async () => {
    open(4, world);
    const prompt = chain('prompt', 3);
    cache.compute(prompt);
    await cache.store.idle();
    const others = singles('a', 'b', 'c', 'd');
    await cache.bring(others);
    await cache.store.idle();
    expect(cache.run(prompt)).toBe(0);
    const asked: number[] = [];
    const loader = new PrefixLoader(
      cache.store,
      { fetch: async (wanted) => void asked.push(...wanted.map(({ index }) => index)) },
      cache.promoter,
    );
    const look = () => loader.prepare({ requestId: 'r', blocks: prompt, sources: [] }, NEVER);
    const found = await Promise.all([look(), look()]);
    for (const prefix of found) {
      expect([prefix.blocks.length, prefix.localBlocks, prefix.remoteBlocks]).toEqual([3, 3, 0]);
      for (const [i, block] of prefix.blocks.entries()) {
        expect(cache.bytes(block).every((byte) => byte === markOf(prompt[i]!.key))).toBe(true);
      }
      prefix.unpin();
      prefix.settle();
    }
    expect(asked).toEqual([]);
    expect(cache.events.filter((event) => event === '+computed').length).toBe(3);
  });

  it('asks peers for missing blocks in between, and for blocks that a lower tier could not give', async () => {
    open(3, world);
    const prompt = chain('prompt', 4);
    const rest = [prompt[0]!, prompt[2]!, prompt[3]!];
    await cache.bring(rest);
    await cache.store.idle();
    await cache.bring(singles('x', 'y', 'z'));
    await cache.store.idle();
    expect(rest.map((block) => cache.store.has(block.key))).toEqual([false, false, false]);
    const tiers = rest.map(({ key }) => cache.store.tierOf(key));
    expect(tiers.every((tier) => tier === 'host' || tier === 'disk')).toBe(true);
    const asked: number[][] = [];
    const found: unknown[] = [];
    const loader = new PrefixLoader(
      cache.store,
      {
        fetch: async (wanted) => {
          asked.push(wanted.map(({ index }) => index));
          await cache.bring(wanted.filter(({ key }) => !cache.store.has(key)));
        },
      },
      cache.promoter,
      null,
      (_, blocks) => found.push(...blocks.map(({ key, tier }) => [key, tier])),
    );
    // The whole prompt does not fit: as much of it as does is brought.
    const prefix = await loader.prepare({ requestId: 'r', blocks: prompt.slice(0, 3), sources: [] }, NEVER);
    expect(prefix.blocks.length).toBe(3);
    expect(asked).toEqual([[1]]);
    expect(found).toEqual([
      [prompt[0]!.key, tiers[0]],
      [prompt[1]!.key, null],
      [prompt[2]!.key, tiers[1]],
    ]);
    prefix.unpin();
    prefix.settle();
  });

  it('frees all memory when told to', async () => {
    open(2, world);
    await cache.bring(singles('a', 'b', 'c', 'd'));
    await cache.store.idle();
    expect(cache.store.reset()).toBe(4);
    await cache.store.idle();
    expect(Object.values(uses()).every((blocks) => blocks === 0)).toBe(true);
    expect(cache.store.tiers.every(({ bytes }) => bytes === 0)).toBe(true);
    expect([cache.told.size, files.files.size]).toEqual([0, 0]);
  });

  it('finishes a read during a reset, and gives the block to no other reader', async () => {
    open(1, world);
    const [a, b] = singles('a', 'b');
    await cache.bring([a!]);
    await cache.store.idle();
    await cache.bring([b!]);
    await cache.store.idle();
    const pinned = (await cache.store.pin(a!.key))!;
    cache.store.reset();
    expect(await cache.store.pin(a!.key)).toBeNull();
    expect(pinned.bytes.every((byte) => byte === markOf(a!.key))).toBe(true);
    let quiet = false;
    void cache.store.quiet().then(() => (quiet = true));
    await settled();
    expect(quiet).toBe(false);
    pinned.unpin();
    await settled();
    expect(quiet).toBe(true);
    await cache.store.idle();
    expect(cache.store.tiers.every(({ bytes }) => bytes === 0)).toBe(true);
  });
});

describe('a store over host memory and a disk', () => {
  afterEach(async () => {
    vi.restoreAllMocks();
    expect(await cache.end()).toEqual([]);
  });

  it('has blocks fall from tier to tier, the oldest deepest', async () => {
    open(8, { device: 'viewed', host: 8, disk: 8 });
    const blocks = singles(...Array.from({ length: 24 }, (_, i) => `prompt ${i}`));
    for (const block of blocks) {
      await cache.bring([block]);
      await cache.store.idle();
    }
    // Of the eighth that would go next each tier has copies below, so two blocks less are kept than there is room for.
    const expected = [
      ...Array(2).fill(null),
      ...Array(7).fill('disk'),
      ...Array(7).fill('host'),
      ...Array(8).fill('device'),
    ];
    expect(blocks.map(tierOf)).toEqual(expected);
    expect(cache.events.filter((event) => event.startsWith('-'))).toEqual(['-evicted', '-evicted']);
  });

  it('gives a new store the blocks on the disk before the first request', async () => {
    const world = { device: 'viewed', host: 0, disk: 8 } as const;
    open(4, world);
    const prompt = chain('prompt', 4);
    cache.compute(prompt);
    await cache.store.idle();
    await cache.end();
    cache = reopen(4, world);
    await cache.store.open();
    expect(cache.store.keys().sort()).toEqual(prompt.map(({ key }) => key).sort());
    await cache.promoter.promote(prompt, NEVER);
    expect(cache.run(prompt)).toBe(4);
    for (const block of prompt) await expectPinned(block);
  });

  it('loses only the damaged block', async () => {
    open(2, { device: 'viewed', host: 0, disk: 4 });
    const prompt = chain('prompt', 2);
    for (const block of [...prompt, ...singles('a', 'b')]) {
      await cache.bring([block]);
      await cache.store.idle();
    }
    files.files.get(prompt[1]!.key)![HEADER_BYTES + 3]! ^= 1;
    await cache.promoter.promote(prompt, NEVER);
    expect(cache.damages).toBe(1);
    expect(await cache.store.pin(prompt[1]!.key)).toBeNull();
    expect(cache.told.has(prompt[1]!.key)).toBe(false);
    await expectPinned(prompt[0]!);
  });

  it('keeps serving from memory while the disk is full', async () => {
    open(2, { device: 'viewed', host: 0, disk: 4 });
    files.refuses = { write: new Error('ENOSPC') };
    await cache.bring(singles('a', 'b', 'c'));
    await cache.store.idle();
    expect(uses()).toEqual({ device: 2, disk: 0 });
    expect(cache.told.size).toBe(2);
  });

  it('is not quiet while a block is read from the disk for a peer, so that it can be closed when it is', async () => {
    open(1, { device: 'viewed', host: 0, disk: 4 });
    const [a, b] = singles('a', 'b');
    await cache.bring([a!, b!]);
    await cache.store.idle();
    const read = deferred();
    files.readGate = read.promise;
    const pinning = cache.store.pin(a!.key);
    let quiet = false;
    void cache.store.quiet().then(() => (quiet = true));
    await settled();
    expect(quiet).toBe(false);
    read.resolve();
    const pinned = await pinning;
    await settled();
    expect([pinned?.block.key, quiet]).toEqual([a!.key, false]);
    pinned!.unpin();
    await settled();
    expect(quiet).toBe(true);
  });

  it('gives peers no block from disk if the system has no memory to read it into', async () => {
    open(1, { device: 'viewed', host: 0, disk: 4 });
    const [a, b] = singles('a', 'b');
    for (const block of [a!, b!]) {
      await cache.bring([block]);
      await cache.store.idle();
    }
    refuseMemory();
    expect(await cache.store.pin(a!.key)).toBeNull();
    expect(cache.failures).toEqual([expect.any(Unavailable)]);
    await expectPinned(b!);
    await cache.store.quiet();
  });

  it('is quiet again once a block that a peer asked for turns out not to be had', async () => {
    open(1, { device: 'viewed', host: 0, disk: 4 });
    const [a, b] = singles('a', 'b');
    await cache.bring([a!, b!]);
    await cache.store.idle();
    files.files.delete(a!.key);
    expect(await cache.store.pin(a!.key)).toBeNull();
    await cache.store.quiet();
  });

  it('leaves a tier alone that would give blocks later than they are computed', async () => {
    open(1, { device: 'viewed', host: 4, disk: 0 });
    const blocks = singles('a', 'b');
    await cache.bring(blocks);
    await cache.store.idle();
    expect(cache.promoter.worth(blocks[0]!.key)).toBe(true);
    cache.computeMsPerToken = 1e-9;
    expect(cache.promoter.worth(blocks[0]!.key)).toBe(false);
    await cache.promoter.promote(blocks, NEVER);
    expect(cache.store.has(blocks[0]!.key)).toBe(false);
  });
});

describe('a store over a device whose memory the host cannot see', () => {
  afterEach(async () => {
    vi.restoreAllMocks();
    expect(await cache.end()).toEqual([]);
  });
  const world = { device: 'remote', host: 8, disk: 0 } as const;
  const remote = () => cache.device as RemoteDevice;

  it('gives a computed block to its own sequences at once, and to others when it has a digest', async () => {
    open(4, world);
    const download = deferred();
    remote().gate = download.promise;
    const [block] = singles('a');
    const usable: string[] = [];
    cache.store.listen({ usable: (key) => usable.push(key) });
    cache.compute([block!]);
    expect(usable).toEqual([block!.key]);
    cache.store.pinOnDevice(block!.key)!.unpin();
    expect(await cache.store.pin(block!.key)).toBeNull();
    expect(cache.store.admit(sealedOf(block!))).toBe('full');
    expect([cache.store.keys(), cache.told.size]).toEqual([[], 0]);
    download.resolve();
    await cache.store.idle();
    expect(cache.events).toEqual(['+computed']);
    expect(cache.store.sealed(block!.key)).toEqual(sealedOf(block!));
    await expectPinned(block!);
  });

  it('downloads a computed block once, for its digest, its peers and the tier below', async () => {
    open(2, world);
    const prompt = chain('prompt', 2);
    cache.compute(prompt);
    await cache.store.idle();
    expect(cache.device.copies().d2h).toBe(2 * BLOCK_BYTES);
    for (const block of prompt) await expectPinned(block);
    await cache.bring(singles('a', 'b', 'c', 'd', 'e'));
    expect(prompt.map(tierOf)).toEqual(['host', 'host']);
    expect(cache.device.copies().d2h).toBe(2 * BLOCK_BYTES);
  });

  it('is not quiet while a block is read from the device for a peer', async () => {
    open(2, { ...world, host: 0 });
    await cache.bring(singles('a'));
    const download = deferred();
    remote().gate = download.promise;
    const [block] = singles('a');
    const pinning = cache.store.pin(block!.key);
    let quiet = false;
    void cache.store.quiet().then(() => (quiet = true));
    download.resolve();
    const pinned = await pinning;
    await settled();
    expect(quiet).toBe(false);
    pinned!.unpin();
    await settled();
    expect(quiet).toBe(true);
  });

  it('does not keep a block that it cannot read', async () => {
    open(2, world);
    const [block] = singles('a');
    remote().failure = new Error('device lost');
    cache.compute([block!]);
    await cache.store.idle();
    expect(cache.failures).toMatchObject([{ message: 'device lost' }]);
    expect([cache.store.has(block!.key), cache.told.size, uses()]).toEqual([false, 0, { device: 0, host: 0 }]);
  });

  it('does not keep a block that the device refuses, and tells the peer that pushed it', async () => {
    open(2, world);
    remote().failure = new Error('device lost');
    const reserved = cache.store.admit(sealedOf(singles('a')[0]!));
    if (typeof reserved === 'string') throw new Error(reserved);
    await expect(reserved.commit()).rejects.toThrow('device lost');
    expect(uses()).toEqual({ device: 0, host: 0 });
    expect(cache.store.tiers.every(({ bytes }) => bytes === 0)).toBe(true);
  });

  it('makes room if the device has less memory than its budget, and does without if it has none', async () => {
    open(8, world);
    remote().capacityBlocks = 2;
    const [a, b, c, d] = singles('a', 'b', 'c', 'd');
    await cache.bring([a!, b!]);
    const held = cache.store.pinOnDevice(b!.key)!;
    expect(cache.compute([c!])).toEqual([c]);
    await cache.store.idle();
    expect([a!, b!, c!].map(tierOf)).toEqual(['host', 'device', 'device']);
    remote().capacityBlocks = 0;
    expect(cache.compute([d!])).toEqual([]);
    expect([b!, c!].map(tierOf)).toEqual(['device', 'host']);
    held.unpin();
  });

  it('keeps copying down when the lower tier is full and the device has less memory than its budget', async () => {
    open(16, { ...world, host: 2 });
    remote().capacityBlocks = 4;
    const blocks = singles('a', 'b', 'c', 'd', 'e', 'f', 'g');
    for (const block of blocks) {
      await cache.bring([block]);
      await cache.store.idle();
    }
    expect(blocks.map(tierOf)).toEqual([null, null, 'host', 'device', 'device', 'device', 'device']);
    expect(cache.lower.tierOf(blocks[3]!.key)).not.toBeNull();
  });

  it('copies no digest down after a reset', async () => {
    open(2, world);
    const download = deferred();
    remote().gate = download.promise;
    const [block] = singles('a');
    cache.compute([block!]);
    cache.store.reset();
    cache.compute([block!]);
    download.resolve();
    await cache.store.idle();
    expect(cache.events).toEqual(['+computed']);
    expect(uses()).toEqual({ device: 1, host: 1 });
  });

  it('accepts and seals blocks while the disk below hangs, and writes them when it answers again', async () => {
    files = new MemoryFiles();
    cache = new Cache(80, { device: 'remote', stagingBlocks: 8, disk: { files, blocks: 80 } });
    const disk = deferred();
    files.gate = disk.promise;
    const fetched = chain('fetched', 40);
    const { takesAtOnce } = cache.store;
    for (let at = 0; at < fetched.length; at += takesAtOnce) {
      await Promise.all(fetched.slice(at, at + takesAtOnce).map((block) => cache.bring([block])));
    }
    expect(cache.run(fetched)).toBe(40);
    const computed = chain('computed', 40);
    expect(cache.compute(computed).length).toBe(40);
    await until(() => cache.told.size === 80);
    const pinned = await Promise.all(computed.slice(0, 4).map(({ key }) => cache.store.pin(key)));
    for (const block of pinned) block!.unpin();
    expect([takesAtOnce, files.writes]).toEqual([4, 1]);
    disk.resolve();
    await cache.store.idle();
    expect(uses()).toEqual({ device: 80, disk: 80 });
  });

  /** Has blocks on the device alone, which a disk takes from now on. */
  async function bringPastDisk(blocks: readonly BlockMeta[]): Promise<void> {
    files = new MemoryFiles();
    const clock = new SimulatedClock();
    cache = new Cache(2, { device: 'remote', disk: { files, blocks: 4 }, clock });
    files.refuses = { write: new Error('ENOSPC') };
    await cache.bring(blocks);
    await cache.store.idle();
    files.refuses = {};
    await clock.advance(DISK_PAUSE_MS);
  }

  it('keeps serving if the system has no memory for copying blocks', async () => {
    const [a, b] = singles('a', 'b');
    await bringPastDisk([a!]);
    refuseMemory();
    await cache.store.idle();
    expect(await cache.store.pin(a!.key)).toBeNull();
    expect(cache.failures).toEqual([expect.any(Unavailable), expect.any(Unavailable)]);
    cache.compute([b!]);
    await cache.store.idle();
    await cache.store.quiet();
    expect(uses()).toEqual({ device: 1, disk: 0 });
    cache.store.pinOnDevice(a!.key)!.unpin();
  });

  it('does not bring back a block that is reset while it is copied down', async () => {
    await bringPastDisk(singles('a'));
    const download = deferred();
    const before = remote().downloads;
    remote().gate = download.promise;
    const idle = cache.store.idle();
    await until(() => remote().downloads > before);
    cache.store.reset();
    download.resolve();
    await idle;
    await cache.store.idle();
    expect([cache.store.keys(), cache.told.size, files.files.size]).toEqual([[], 0, 0]);
  });
});

describe.each(WORLDS)('whatever is done to it, a store over $name', (world) => {
  const BLOCKS = ['a', 'b', 'c'].flatMap((name) => chain(name, 4));
  const op = fc.record({
    do: fc.constantFrom(
      'compute',
      'compute',
      'bring',
      'admit',
      'pin',
      'pinOnDevice',
      'promote',
      'unpin',
      'idle',
      'reset',
    ),
    nth: fc.nat(BLOCKS.length - 1),
  });

  async function play(device: number, ops: readonly { do: string; nth: number }[]): Promise<void> {
    open(device, world);
    const held: { meta: BlockMeta; held: PinnedBlock | PinnedDeviceBlock }[] = [];
    const running: Promise<unknown>[] = [];
    for (const { do: what, nth } of ops) {
      const meta = BLOCKS[nth]!;
      if (what === 'compute') cache.compute([meta]);
      if (what === 'promote') running.push(cache.promoter.promote([meta], NEVER));
      if (what === 'bring') {
        const reserved = cache.store.reserveBytes(sealedOf(meta), 'fetched');
        if (typeof reserved === 'string') continue;
        reserved.memory.fill(markOf(meta.key));
        running.push(reserved.commit());
      }
      if (what === 'admit') {
        const reserved = cache.store.admit(sealedOf(meta));
        if (typeof reserved === 'string') continue;
        reserved.memory.fill(markOf(meta.key));
        running.push(reserved.commit());
      }
      if (what === 'pin') {
        const pinned = await cache.store.pin(meta.key);
        if (pinned) held.push({ meta, held: pinned });
      }
      if (what === 'pinOnDevice') {
        const pinned = cache.store.pinOnDevice(meta.key);
        if (pinned) held.push({ meta, held: pinned });
      }
      if (what === 'unpin') held.splice(nth % Math.max(1, held.length), 1)[0]?.held.unpin();
      if (what === 'idle') await cache.store.idle();
      if (what === 'reset') cache.store.reset();
      if (held.length > 6) held.shift()!.held.unpin();
      check(held);
    }
    await Promise.all(running);
    await cache.store.idle();
    check(held);
    for (const { held: one } of held) one.unpin();
    await cache.store.quiet();
    for (const key of cache.store.keys()) await expectPinned(BLOCKS.find((block) => block.key === key)!);
    expect([cache.damages, cache.failures]).toEqual([0, []]);
    cache.store.reset();
    expect(await cache.end()).toEqual([]);
  }

  function check(held: readonly { meta: BlockMeta; held: PinnedBlock | PinnedDeviceBlock }[]): void {
    cache.check();
    expect(new Set(cache.store.keys())).toEqual(cache.told);
    for (const { key } of BLOCKS) expect(cache.store.sealed(key) !== null).toBe(cache.told.has(key));
    for (const { meta, held: one } of held) {
      const bytes = 'bytes' in one ? one.bytes : cache.bytes(one.block);
      expect(bytes.every((byte) => byte === markOf(meta.key))).toBe(true);
    }
  }

  it('keeps its budgets, reports truthfully, changes no block that is being read, and leaks no memory', async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(op, { maxLength: 50 }), play), {
      numRuns: 60,
    });
  });
});
