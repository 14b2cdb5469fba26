import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { settled } from '../../../../src/clock.js';
import type { BlockMeta } from '../../../../src/core/block.js';
import type { PreparedPrefix } from '../../../../src/engine/prefix-cache.js';
import { Cancelled } from '../../../../src/errors.js';
import { type PrefixFetcher, PrefixLoader } from '../../../../workers/prefix/prefix-loader.js';
import { deferred } from '../../actors/world.js';
import { Cache, chain, markOf } from '../support/cache.js';

/** A fetcher that does what a test says, and keeps what it was asked for. */
class Fetcher implements PrefixFetcher {
  readonly asked: number[][] = [];
  answer: (wanted: readonly BlockMeta[], signal: AbortSignal) => Promise<void> | void = () => {};

  async fetch(wanted: readonly BlockMeta[], _: unknown, signal: AbortSignal): Promise<void> {
    this.asked.push(wanted.map(({ index }) => index));
    await this.answer(wanted, signal);
    if (signal.aborted) throw new Cancelled('withdrawn');
  }
}

describe.each(['viewed', 'remote'] as const)('a prefix loader over a %s device', (device) => {
  let cache: Cache;
  let fetcher: Fetcher;
  let loader: PrefixLoader;
  const blocks = chain('prompt', 8);
  const never = new AbortController().signal;

  beforeEach(() => {
    cache = new Cache(16, { device });
    fetcher = new Fetcher();
    loader = new PrefixLoader(cache.store, fetcher, cache.promoter);
  });
  afterEach(async () => {
    cache.store.reset();
    expect(await cache.end()).toEqual([]);
  });

  function prepare(count = blocks.length, signal = never): Promise<PreparedPrefix> {
    return loader.prepare({ requestId: 'r', blocks: blocks.slice(0, count), sources: [] }, signal);
  }
  async function bring(wanted: readonly BlockMeta[]): Promise<void> {
    await cache.bring(wanted.filter(({ key }) => !cache.store.has(key)));
  }
  function letGo(...prefixes: PreparedPrefix[]): void {
    for (const prefix of prefixes) {
      prefix.unpin();
      prefix.settle();
    }
  }
  /** Computes blocks as an engine does that has claimed them. */
  function compute(from: number, to = blocks.length): void {
    for (const meta of blocks.slice(from, to)) {
      const reserved = loader.reserve(meta);
      if (reserved === null) continue;
      cache.bytes(reserved.memory).fill(markOf(meta.key));
      reserved.commit();
    }
  }
  async function isOpen(promise: Promise<unknown>): Promise<boolean> {
    let open = true;
    promise.then(
      () => (open = false),
      () => (open = false),
    );
    await settled();
    return open;
  }

  it('takes local blocks first, and asks peers once for the rest', async () => {
    await cache.bring(blocks.slice(0, 2), 'computed');
    fetcher.answer = (wanted) => bring(wanted.slice(0, 3));
    const prefix = await prepare();
    expect(fetcher.asked).toEqual([[2, 3, 4, 5, 6, 7]]);
    expect(prefix.blocks.length).toBe(5);
    expect(prefix.localBlocks).toBe(2);
    expect(prefix.remoteBlocks).toBe(3);
    letGo(prefix);
  });

  it('asks no peer if all blocks are local, or none is wanted', async () => {
    await cache.bring(blocks, 'computed');
    letGo(await prepare(), await prepare(0));
    expect(fetcher.asked).toEqual([]);
  });

  it('counts a block that a peer computed as remote until its first use here', async () => {
    await cache.bring(blocks.slice(0, 2), 'pushed');
    const first = await prepare(2);
    expect([first.localBlocks, first.remoteBlocks]).toEqual([0, 2]);
    expect(first.claim()).toBe(true);
    const second = await prepare(2);
    expect([second.localBlocks, second.remoteBlocks]).toEqual([2, 0]);
    letGo(first, second);
  });

  it('pins the blocks that it returns until they are released', async () => {
    await cache.bring(blocks, 'computed');
    const prefix = await prepare();
    cache.store.reset();
    expect(cache.run(blocks)).toBe(0);
    expect(cache.device.memory().blocks).toBe(8);
    prefix.unpin();
    prefix.unpin();
    expect(cache.device.memory().blocks).toBe(0);
    prefix.settle();
  });

  it('lets others wait for a computation, block by block', async () => {
    const first = await prepare();
    expect(first.claim()).toBe(true);
    const second = prepare();
    expect(await isOpen(second)).toBe(true);
    compute(0, 4);
    expect(await isOpen(second)).toBe(true);
    compute(4);
    const prefix = await second;
    expect(prefix.blocks.length).toBe(8);
    expect(prefix.localBlocks).toBe(8);
    expect(fetcher.asked.length).toBe(1);
    letGo(first, prefix);
  });

  it('lets the next request compute the blocks that the first did not finish', async () => {
    const first = await prepare();
    first.claim();
    const second = prepare();
    compute(0, 3);
    letGo(first);
    const prefix = await second;
    expect(prefix.blocks.length).toBe(3);
    expect(prefix.claim()).toBe(true);
    letGo(prefix);
  });

  it('does not let two compute the same: the second claim is refused', async () => {
    const [first, second] = [await prepare(), await prepare()];
    expect(first.claim()).toBe(true);
    expect(second.claim()).toBe(false);
    letGo(second);
    const again = prepare();
    expect(await isOpen(again)).toBe(true);
    letGo(first);
    const third = await again;
    expect(third.claim()).toBe(true);
    letGo(third);
  });

  it('refuses a claim where the next block has come meanwhile', async () => {
    const prefix = await prepare();
    await cache.bring(blocks.slice(0, 1), 'pushed');
    expect(prefix.claim()).toBe(false);
    letGo(prefix);
  });

  it('continues when a peer pushes a claimed block', async () => {
    const first = await prepare(1);
    first.claim();
    const second = prepare(1);
    expect(await isOpen(second)).toBe(true);
    await cache.bring(blocks.slice(0, 1), 'pushed');
    const prefix = await second;
    expect(prefix.blocks.length).toBe(1);
    letGo(first, prefix);
  });

  it('fetches a key once at a time', async () => {
    const arrives = deferred();
    fetcher.answer = async (wanted) => {
      await arrives.promise;
      await bring(wanted);
    };
    const [first, second] = [prepare(), prepare(6)];
    expect(await isOpen(second)).toBe(true);
    expect(fetcher.asked.length).toBe(1);
    arrives.resolve();
    const prefixes = await Promise.all([first, second]);
    expect(prefixes.map((prefix) => prefix.blocks.length)).toEqual([8, 6]);
    expect(fetcher.asked.length).toBe(1);
    letGo(...prefixes);
  });

  it('lets the next request fetch blocks after the first was cancelled', async () => {
    const off = new AbortController();
    const stalled = deferred();
    fetcher.answer = () => stalled.promise;
    const first = prepare(8, off.signal);
    const second = prepare();
    await settled();
    fetcher.answer = (wanted) => bring(wanted);
    off.abort();
    stalled.resolve();
    await expect(first).rejects.toBeInstanceOf(Cancelled);
    const prefix = await second;
    expect(prefix.blocks.length).toBe(8);
    letGo(prefix);
  });

  it('fetches up to a block that is on its way, waits for it, and continues behind it', async () => {
    await cache.bring(blocks.slice(0, 2), 'computed');
    const first = await prepare(4);
    expect(fetcher.asked).toEqual([[2, 3]]);
    first.claim();
    cache.store.reset();
    first.unpin();
    cache.store.reset();
    fetcher.asked.length = 0;
    fetcher.answer = (wanted) => bring(wanted);
    const second = prepare();
    await settled();
    expect(fetcher.asked).toEqual([[0, 1]]);
    compute(2, 4);
    first.settle();
    const prefix = await second;
    expect(fetcher.asked).toEqual([
      [0, 1],
      [4, 5, 6, 7],
    ]);
    expect(prefix.blocks.length).toBe(8);
    letGo(prefix);
  });

  it('unpins its blocks when it is cancelled while it waits', async () => {
    await cache.bring(blocks.slice(0, 2), 'computed');
    const first = await prepare();
    first.claim();
    const off = new AbortController();
    const second = prepare(8, off.signal);
    await settled();
    off.abort();
    await expect(second).rejects.toBeInstanceOf(Cancelled);
    letGo(first);
    expect(cache.store.reset()).toBe(2);
  });

  it('does not end the flight of another, where its own block came and went', async () => {
    const [slow, quick] = [deferred(), deferred()];
    fetcher.answer = async (wanted) => {
      await bring(wanted.slice(0, 1));
      await slow.promise;
    };
    const first = prepare(2);
    await settled();
    cache.store.reset();
    fetcher.answer = () => quick.promise;
    const second = prepare(1);
    await settled();
    expect(fetcher.asked).toEqual([[0, 1], [0]]);
    slow.resolve();
    await settled();
    // The second still fetches the block: the first and a third wait for it.
    const third = prepare(1);
    expect(await isOpen(first)).toBe(true);
    expect(await isOpen(third)).toBe(true);
    expect(fetcher.asked.length).toBe(2);
    quick.resolve();
    letGo(await second, await first);
    letGo(await third);
  });

  it('lets one of many requests compute an unavailable block, in any order of requests', async () => {
    const turns = fc.record({
      sequences: fc.integer({ min: 2, max: 4 }),
      startTurns: fc.array(fc.nat(12), { minLength: 4, maxLength: 4 }),
      fetchTurns: fc.array(fc.nat(8), { minLength: 1, maxLength: 4 }),
      claimTurns: fc.array(fc.nat(12), { minLength: 1, maxLength: 4 }),
    });
    await fc.assert(fc.asyncProperty(turns, contend), { numRuns: 300 });
  });

  /** Sequences with one prompt, of which a lower tier has blocks and peers say so too, where all room is taken by what is read. */
  async function contend(on: {
    sequences: number;
    startTurns: number[];
    fetchTurns: number[];
    claimTurns: number[];
  }): Promise<void> {
    const full = new Cache(4, { device, hostBlocks: 8 });
    const others = [...chain('x', 2), ...chain('y', 2)];
    await full.bring(blocks.slice(0, 2), 'computed');
    await full.store.idle();
    await full.bring(others);
    const pins = others.map(({ key }) => full.store.pinOnDevice(key)!);
    const pass = async (microtasks: number) => {
      for (let i = 0; i < microtasks; i++) await null;
    };
    const own = new PrefixLoader(
      full.store,
      { fetch: () => pass(on.fetchTurns[fetches++ % on.fetchTurns.length]!) },
      full.promoter,
    );
    let fetches = 0;
    let tries = 0;
    const sequence = async (_: unknown, nth: number) => {
      await pass(on.startTurns[nth]!);
      for (;;) {
        const prefix = await own.prepare({ requestId: 'r', blocks: blocks.slice(0, 3), sources: [] }, never);
        // An engine looks at what is ready a few turns later.
        await pass(on.claimTurns[tries % on.claimTurns.length]!);
        if (++tries > 100) throw new Error('nobody gets to compute');
        const claimed = prefix.claim();
        prefix.unpin();
        if (claimed) await settled();
        prefix.settle();
        if (claimed) return;
      }
    };
    await Promise.all(Array.from({ length: on.sequences }).map(sequence));
    for (const pin of pins) pin.unpin();
    full.store.reset();
    expect(await full.end()).toEqual([]);
  }

  it('ends, leaves no pin and computes each block once, under any interleaving', async () => {
    const steps = fc.array(
      fc.record({
        what: fc.constantFrom('ask', 'ask', 'ask', 'bring', 'fail', 'claim', 'compute', 'finish', 'abort', 'reset'),
        nth: fc.nat(10),
        count: fc.integer({ min: 0, max: 8 }),
      }),
      { maxLength: 40 },
    );
    await fc.assert(fc.asyncProperty(steps, playSteps), { numRuns: 120 });
  });

  interface Sequence {
    readonly abort: AbortController;
    readonly count: number;
    prefix: PreparedPrefix | null;
    claimed: boolean;
    over: boolean;
  }

  /** Sequences that are prepared, claim, compute and end in any order, over fetches that end in any way. */
  async function playSteps(steps: readonly { what: string; nth: number; count: number }[]): Promise<void> {
    const world = new Cache(5, { device });
    const fetches: { wanted: readonly BlockMeta[]; go: () => void }[] = [];
    const own = new PrefixLoader(
      world.store,
      {
        fetch: async (wanted, _, signal) => {
          const done = deferred();
          fetches.push({ wanted, go: done.resolve });
          signal.addEventListener('abort', () => done.resolve());
          await done.promise;
          if (signal.aborted) throw new Cancelled('withdrawn');
        },
      },
      world.promoter,
    );
    const sequences: Sequence[] = [];
    const computing = () => sequences.filter(({ claimed, over }) => claimed && !over);
    const pick = <T>(from: readonly T[], nth: number): T | undefined => from[nth % Math.max(1, from.length)];
    const end = (sequence: Sequence) => {
      sequence.over = true;
      sequence.abort.abort();
      sequence.prefix?.unpin();
      sequence.prefix?.settle();
    };
    const put = (wanted: readonly BlockMeta[]) => {
      for (const meta of wanted) {
        const reserved = world.store.reserveBytes(
          { ...meta, digest: '', maker: { id: 'w', incarnation: '1' } },
          'fetched',
        );
        if (typeof reserved !== 'string') void reserved.commit();
      }
    };
    for (const { what, nth, count } of steps) {
      if (what === 'ask') {
        const sequence: Sequence = { abort: new AbortController(), count, prefix: null, claimed: false, over: false };
        sequences.push(sequence);
        const asked = { requestId: 'r', blocks: blocks.slice(0, count), sources: [] };
        own.prepare(asked, sequence.abort.signal).then(
          (prefix) => {
            sequence.prefix = prefix;
            if (sequence.over) end(sequence);
          },
          (error) => {
            if (!sequence.over) throw error;
          },
        );
      }
      if (what === 'bring' || what === 'fail') {
        const [fetch] = fetches.splice(nth % Math.max(1, fetches.length), 1);
        if (what === 'bring' && fetch) put(fetch.wanted.slice(0, count));
        fetch?.go();
      }
      if (what === 'claim') {
        const ready = pick(
          sequences.filter(({ prefix, over, claimed }) => prefix && !over && !claimed),
          nth,
        );
        if (ready) {
          ready.claimed = ready.prefix!.claim();
          if (!ready.claimed) end(ready);
        }
      }
      if (what === 'compute') {
        const sequence = pick(computing(), nth);
        const next = sequence && blocks.slice(0, sequence.count).find(({ key }) => !world.store.has(key));
        const reserved = next ? own.reserve(next) : null;
        reserved?.commit();
      }
      if (what === 'finish') {
        const sequence = pick(computing(), nth);
        if (sequence) end(sequence);
      }
      if (what === 'abort') {
        const sequence = pick(sequences, nth);
        if (sequence) end(sequence);
      }
      if (what === 'reset') world.store.reset();
      await settled();
      // No block is claimed by two that compute.
      const claims = computing().map(({ prefix, count: to }) => blocks.slice(prefix!.blocks.length, to)[0]?.key);
      const first = claims.filter((key) => key !== undefined && !world.store.has(key));
      expect(new Set(first).size).toBe(first.length);
    }
    // All that still waits comes to an end when what it waits for does.
    for (let round = 0; round < 40; round++) {
      for (const { go } of fetches.splice(0)) go();
      for (const sequence of sequences) if (sequence.prefix && !sequence.over) end(sequence);
      await settled();
    }
    expect(sequences.every(({ over }) => over)).toBe(true);
    world.store.reset();
    expect(await world.end()).toEqual([]);
  }
});
