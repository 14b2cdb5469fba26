import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { settled } from '../../../../src/clock.js';
import type { BlockMeta, PinnedBlock } from '../../../../src/core/block.js';
import type { PrefixSource } from '../../../../src/engine/prefix-cache.js';
import { Cancelled } from '../../../../src/errors.js';
import { SEGMENT_BLOCKS } from '../../../../src/limits.js';
import { Hands } from '../../../../workers/audit/hands.js';
import { PeerFetcher } from '../../../../workers/prefix/peer-fetcher.js';
import { deferred } from '../../actors/world.js';
import { until } from '../../peer/support/until.js';
import { MemoryFiles } from '../support/block-files.js';
import { BLOCK_BYTES, Cache, chain, LAYOUT, markOf, SELF } from '../support/cache.js';
import { type Neighbour, Town } from '../support/town.js';

const NEVER = new AbortController().signal;

describe('a peer fetcher', () => {
  let town: Town;
  let own: Neighbour;
  let computeMsPerToken: number;
  const blocks = chain('prompt', 3 * SEGMENT_BLOCKS);
  let hands: Hands;
  let distrusted: string[];
  let kept: string[];

  beforeEach(async () => {
    town = await Town.open();
    own = await town.add('own');
    computeMsPerToken = 10;
    hands = new Hands(() => true);
    distrusted = [];
    kept = [];
  });
  afterEach(async () => expect(await town.close()).toEqual([]));

  function fetcher(replicas = 1): PeerFetcher {
    return new PeerFetcher({
      self: own.id,
      policy: 'cheapest',
      store: own.cache.store,
      peers: own.client,
      roster: own.roster,
      clock: town.clock,
      replicas,
      blockTokens: LAYOUT.blockTokens,
      blockBytes: BLOCK_BYTES,
      computeMsPerToken: () => computeMsPerToken,
      trust: {
        trusts: ({ id }) => !distrusted.includes(id),
        accepts: ({ maker }) => !distrusted.includes(maker.id),
      },
      hands,
      onKept: (peer) => kept.push(peer),
    });
  }
  function hints(...workers: string[]): PrefixSource[] {
    return workers.map((worker) => ({ worker, blocks: blocks.length }));
  }
  function fetch(wanted: readonly BlockMeta[], sources: readonly PrefixSource[], from = fetcher(), signal = NEVER) {
    return from.fetch(wanted, { requestId: 'r', blocks, sources }, signal);
  }
  function expectFetched(wanted: readonly BlockMeta[]): void {
    for (const meta of wanted) {
      const pin = own.cache.store.pinOnDevice(meta.key)!;
      expect(own.cache.bytes(pin.block).every((byte) => byte === markOf(meta.key))).toBe(true);
      expect(own.cache.store.sealed(meta.key)).toMatchObject(meta);
      expect(pin.foreign).toBe(true);
      pin.unpin();
    }
  }

  it('fetches blocks from a peer that is said to have them', async () => {
    const other = await town.add('other');
    other.cache.fill(blocks);
    const from = fetcher();
    await fetch(blocks.slice(1), hints('other'), from);
    expect(own.cache.run(blocks.slice(1))).toBe(blocks.length - 1);
    expectFetched(blocks.slice(1));
    expect(kept).toEqual(blocks.slice(1).map(() => 'other'));
    expect(from.rates.overall).toBeGreaterThan(0);
  });

  it('asks the homes of a segment where no hint leads', async () => {
    const other = await town.add('other');
    other.cache.fill(blocks);
    await fetch(blocks, [], fetcher(2));
    expect(own.cache.run(blocks)).toBe(blocks.length);
  });

  it('asks the next peer for blocks that one lacks or cannot give', async () => {
    const [first, second, third] = [await town.add('first'), await town.add('second'), await town.add('third')];
    first.cache.fill(blocks.slice(0, 3));
    third.cache.fill(blocks);
    await second.shut();
    await fetch(blocks, hints('first', 'second', 'third'));
    expect(own.cache.run(blocks)).toBe(blocks.length);
    expectFetched(blocks);
  });

  it('asks neither itself nor an unknown worker', async () => {
    await fetch(blocks, hints('own', 'stranger'));
    expect(own.door.asked).toEqual([]);
    expect(own.cache.run(blocks)).toBe(0);
  });

  it('asks no worker that it distrusts', async () => {
    const other = await town.add('other');
    other.cache.fill(blocks);
    distrusted = ['other'];
    await fetch(blocks, hints('other'), fetcher(2));
    expect(other.door.asked).toEqual([]);
    expect(own.cache.run(blocks)).toBe(0);
  });

  it('keeps no block whose maker it distrusts', async () => {
    const other = await town.add('other');
    other.cache.fill(blocks);
    distrusted = [SELF.id];
    await fetch(blocks, hints('other'));
    expect(other.door.asked).not.toEqual([]);
    expect(own.cache.run(blocks)).toBe(0);
  });

  it('does not ask a worker for blocks of another of its incarnations', async () => {
    const other = await town.add('other');
    other.cache.fill(blocks);
    town.bury('other');
    await fetch(blocks, hints('other'));
    expect(other.door.asked).toEqual([]);
    expect(own.cache.run(blocks)).toBe(0);
  });

  it('asks for no block behind the first unavailable one', async () => {
    const prompt = chain('long', 20 * SEGMENT_BLOCKS);
    const [large, other] = [await town.add('large', prompt.length), await town.add('other', prompt.length)];
    own = large;
    other.cache.fill(prompt.slice(SEGMENT_BLOCKS));
    for (const id of ['third', 'fourth', 'fifth']) await town.add(id);
    // The homes to ask beside the hint differ, so that segments are asked for one by one.
    const sources = [{ worker: 'other', blocks: prompt.length }];
    await fetcher(2).fetch(prompt, { requestId: 'r', blocks: prompt, sources }, NEVER);
    expect(own.cache.run(prompt)).toBe(0);
    const segments = new Set(other.door.asked.map((key) => prompt.find((meta) => meta.key === key)!.segment));
    expect(segments.size).toBeLessThanOrEqual(4);
  });

  it('stops when memory runs out, and keeps the beginning', async () => {
    const [small, other, third] = [await town.add('small', 5), await town.add('other'), await town.add('third')];
    other.cache.fill(blocks);
    third.cache.fill(blocks);
    own = small;
    await fetch(blocks.slice(0, SEGMENT_BLOCKS), hints('other', 'third'));
    expect(small.cache.run(blocks)).toBe(5);
    expect(small.cache.events).not.toContain('-evicted');
    // The second of them is not asked at all.
    expect([other.door.asked.length, third.door.asked.length].sort()[0]).toBe(0);
  });

  it('gives a peer up that is slower than computing, and leaves it alone for a while', async () => {
    const other = await town.add('other');
    other.cache.fill(blocks);
    const stuck = deferred();
    other.door.onPin = async (pinned) => {
      await stuck.promise;
      return pinned;
    };
    const from = fetcher();
    const fetching = fetch(blocks, hints('other'), from);
    await until(() => other.door.asked.length > 0);
    await town.clock.advance(computeMsPerToken * LAYOUT.blockTokens * blocks.length);
    await fetching;
    stuck.resolve();
    expect(own.cache.store.blocks).toBe(0);
    expect(from.rates.of('other')).toBeLessThan(1);
    other.door.onPin = (pinned) => pinned;
    other.door.asked.length = 0;
    await fetch(blocks, hints('other'), from);
    expect(other.door.asked).toEqual([]);
    await town.clock.advance(31_000);
    await fetch(blocks, hints('other'), from);
    expect(own.cache.run(blocks)).toBe(blocks.length);
  });

  it('does not take the bytes of one peer for the speed of another', async () => {
    const [quick, stuck] = [await town.add('quick'), await town.add('stuck')];
    quick.cache.fill(blocks);
    stuck.cache.fill(blocks);
    const held = deferred();
    stuck.door.onPin = async (pinned) => {
      await held.promise;
      return pinned;
    };
    const from = fetcher();
    const fetching = fetch(blocks, hints('quick', 'stuck'), from);
    await until(() => own.cache.store.blocks > 0 && stuck.door.asked.length > 0);
    await until(() => quick.cache.store.keys().length > 0 && own.cache.store.blocks >= SEGMENT_BLOCKS);
    await town.clock.advance(computeMsPerToken * LAYOUT.blockTokens * blocks.length);
    await fetching;
    held.resolve();
    expect(from.rates.of('stuck')).toBeLessThan(1);
    expect(from.rates.of('quick')).toBeGreaterThan(100);
  });

  it('stops with its request, and reserves no more memory', async () => {
    const other = await town.add('other');
    other.cache.fill(blocks);
    const stuck = deferred();
    other.door.onPin = async (pinned) => {
      if (other.door.asked.length > 2) await stuck.promise;
      return pinned;
    };
    const off = new AbortController();
    const fetching = fetch(blocks, hints('other'), fetcher(), off.signal);
    await until(() => other.door.asked.length > 2);
    off.abort();
    await expect(fetching).rejects.toBeInstanceOf(Cancelled);
    stuck.resolve();
    expect(own.cache.device.memory().blocks).toBe(own.cache.store.blocks);
    await expect(fetch(blocks, hints('other'), fetcher(), off.signal)).rejects.toBeInstanceOf(Cancelled);
  });

  it('rejects a block whose bytes do not match its digest', async () => {
    const [liar, honest] = [await town.add('liar'), await town.add('honest')];
    liar.cache.fill(blocks);
    honest.cache.fill(blocks);
    liar.door.onPin = (pinned) => pinned && { ...pinned, bytes: flipped(pinned) };
    await fetch(blocks.slice(0, 4), hints('liar', 'honest'));
    expectFetched(blocks.slice(0, 4));
    await honest.shut();
    await fetch(blocks, hints('liar', 'honest'));
    expect(own.cache.run(blocks)).toBe(4);
  });

  it('names a block by the requested key, whatever the peer claims', async () => {
    const other = await town.add('other');
    other.cache.fill(blocks);
    const wrong = { index: 7, parent: blocks[9]!.key, segment: blocks[9]!.key };
    other.door.onPin = (pinned) => pinned && { ...pinned, block: { ...pinned.block, ...wrong } };
    await fetch(blocks.slice(0, 2), hints('other'));
    expectFetched(blocks.slice(0, 2));
  });

  it('waits for a block that a peer is pushing here, and does not ask for it', async () => {
    const other = await town.add('other');
    const sealed = other.cache.fill(blocks);
    const pushed = own.cache.store.admit(sealed[1]!);
    if (typeof pushed === 'string') throw new Error(pushed);
    const fetching = fetch(blocks.slice(0, 3), hints('other'));
    await until(() => own.cache.store.blocks === 2 && other.cache.store.blocks === blocks.length);
    let open = true;
    void fetching.then(() => (open = false));
    for (let turn = 0; turn < 20; turn++) await settled();
    expect(open).toBe(true);
    expect(other.door.asked).toEqual([blocks[0]!.key, blocks[2]!.key]);
    pushed.memory.fill(markOf(blocks[1]!.key));
    await pushed.commit();
    await fetching;
    expectFetched(blocks.slice(0, 3));
  });

  it('does not wait for a push longer than computing takes', async () => {
    const other = await town.add('other');
    const sealed = other.cache.fill(blocks);
    const pushed = own.cache.store.admit(sealed[0]!);
    if (typeof pushed === 'string') throw new Error(pushed);
    const fetching = fetch(blocks.slice(0, 1), hints('other'));
    await town.clock.advance(computeMsPerToken * LAYOUT.blockTokens);
    await fetching;
    pushed.abort();
  });

  it('leaves no timer behind', async () => {
    const other = await town.add('other');
    other.cache.fill(blocks);
    // The connection stays, and has a timer of its own.
    await fetch(blocks.slice(0, 1), hints('other'));
    const before = town.clock.nextAtMs();
    await fetch(blocks, hints('other'));
    await until(() => town.clock.nextAtMs() === before);
  });

  const disk = (blocksOnDisk: number) => ({ files: new MemoryFiles(), blocks: blocksOnDisk });
  it.each([
    [
      'a remote device',
      'a remote device',
      () => [new Cache(96, { device: 'remote' }), new Cache(96, { device: 'remote' })],
    ],
    [
      'a remote device that gives two blocks at a time',
      'a remote device that takes three',
      () => [
        new Cache(96, { device: 'remote', stagingBlocks: 2 }),
        new Cache(96, { device: 'remote', stagingBlocks: 3 }),
      ],
    ],
    ['a disk', 'a viewed device', () => [new Cache(24, { disk: disk(96) }), new Cache(96)]],
    ['a disk', 'a remote device', () => [new Cache(24, { disk: disk(96) }), new Cache(96, { device: 'remote' })]],
    [
      'host memory under a remote device',
      'a remote device over full host memory',
      () => [new Cache(24, { device: 'remote', hostBlocks: 96 }), new Cache(96, { device: 'remote', hostBlocks: 8 })],
    ],
  ])('brings a long prompt from %s to %s', async (_, __, caches) => {
    const [from, to] = caches() as [Cache, Cache];
    const giver = await town.addOver('giver', from);
    const prompt = chain('long', 80);
    // The last first: a prompt that is longer than the device has room for is not kept whole else.
    for (const block of prompt.toReversed()) {
      await from.bring([block]);
      await from.store.idle();
    }
    own = await town.addOver('taker', to);
    await to.bring(chain('other', 8));
    await fetch(prompt, [{ worker: giver.id, blocks: prompt.length }]);
    expectFetched(prompt);
    expect([from.failures, to.failures]).toEqual([[], []]);
  });

  it('brings a long prompt to a remote device whose disk hangs', async () => {
    const files = new MemoryFiles();
    const written = deferred();
    files.gate = written.promise;
    const givers = [await town.add('first', 96), await town.add('second', 96)];
    const prompt = chain('long', 80);
    for (const { cache } of givers) cache.fill(prompt);
    const to = new Cache(96, { device: 'remote', stagingBlocks: 16, disk: { files, blocks: 96 } });
    own = await town.addOver('taker', to);
    await fetch(
      prompt,
      givers.map(({ id }) => ({ worker: id, blocks: prompt.length })),
    );
    written.resolve();
    expectFetched(prompt);
  });

  function flipped(pinned: PinnedBlock): Uint8Array {
    const bytes = Uint8Array.from(pinned.bytes);
    bytes[5]! ^= 1;
    return bytes;
  }
});
