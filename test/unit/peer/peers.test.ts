import { afterEach, describe, expect, it } from 'vitest';
import { blocksOf, keyOf } from './support/host.js';
import { Pair, type Via } from './support/pair.js';
import { MemorySink } from './support/sink.js';

const NEVER = new AbortController().signal;

describe.each<Via>(['unix', 'tcp'])('peers over %s', (via) => {
  let pair: Pair;
  afterEach(() => pair.close());

  it('fetch blocks in order, with their bytes', async () => {
    pair = await Pair.open();
    const blocks = blocksOf('a', 20);
    pair.host.add(blocks);
    const sink = new MemorySink();
    const keys = blocks.map(({ block }) => block.key);
    const outcome = await pair.client().fetch(pair.target(via), keys, sink, NEVER);
    expect(outcome).toMatchObject({ blocks: 20, missing: null });
    expect(sink.arrived).toEqual(keys);
    for (const { block, bytes } of blocks) expect(Buffer.compare(sink.places.get(block.key)!, bytes)).toBe(0);
    expect(pair.host.lent).toBe(0);
  });

  it('stop a fetch at the first block that is missing', async () => {
    pair = await Pair.open();
    const blocks = blocksOf('a', 6);
    pair.host.add([...blocks.slice(0, 3), ...blocks.slice(4)]);
    const sink = new MemorySink();
    const keys = blocks.map(({ block }) => block.key);
    const outcome = await pair.client().fetch(pair.target(via), keys, sink, NEVER);
    expect(outcome).toMatchObject({ blocks: 3, missing: keyOf('a 3') });
    expect(sink.arrived).toEqual(keys.slice(0, 3));
    expect(pair.host.lendings).toBe(4);
  });

  it('push what the other wants, and acknowledge what it has', async () => {
    pair = await Pair.open();
    const blocks = blocksOf('a', 40);
    pair.host.add(blocks.slice(5, 7));
    pair.host.room = 30;
    const own = pair.host;
    const acknowledged = await pair.client().push(
      pair.target(via),
      blocks.map((b) => own.lease(b)),
      NEVER,
    );
    expect(acknowledged.size).toBe(32);
    for (const key of acknowledged) {
      const entry = pair.host.blocks.get(key)!;
      expect(Buffer.compare(entry.bytes, blocks[entry.block.index]!.bytes)).toBe(0);
      expect(entry.block).toEqual(blocks[entry.block.index]!.block);
    }
    expect(own.lent).toBe(0);
    expect(own.admitted.size).toBe(0);
  });

  it('answer pings', async () => {
    pair = await Pair.open();
    expect(await pair.client().ping(pair.target(via), 5_000)).toBeGreaterThanOrEqual(0);
  });
});
