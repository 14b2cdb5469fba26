import { constants } from 'node:buffer';
import { closeSync, ftruncateSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import type { SharedMemoryReader } from '../../../src/core/shared-memory-reader.js';
import type { SharedPlace } from '../../../src/core/shared-place.js';
import { Cancelled, Corrupt } from '../../../src/errors.js';
import { PEER_BLOCKS_PINNED } from '../../../src/limits.js';
import { liveHandles } from '../../../src/native/handle.js';
import { memoryFile, seal } from '../../../src/native/libc.js';
import { PEER_PIN_MS } from '../../../src/peer/server/pin-answer.js';
import { BLOCK_BYTES, blocksOf, bytesOf, keyOf } from './support/host.js';
import { Pair } from './support/pair.js';
import { provedClient, type RawClient } from './support/raw-peer.js';
import { MemorySink } from './support/sink.js';
import { until } from './support/until.js';

/** Reading blocks out of the shared memory of a peer on this host, while the peer keeps them pinned. */

const NEVER = new AbortController().signal;
const keysOf = (blocks: readonly { block: { key: string } }[]) => blocks.map(({ block }) => block.key);

/** A file in memory that has what it takes but for its seals. */
function unsealed(): number {
  const file = memoryFile('shoal-blocks')!;
  files.push(file);
  ftruncateSync(file, 8 << 20);
  return file;
}

function tooLarge(): number {
  const file = memoryFile('shoal-blocks')!;
  files.push(file);
  ftruncateSync(file, Math.min(constants.MAX_LENGTH + 1, 2 ** 50));
  seal(file);
  return file;
}

const files: number[] = [];
let pair: Pair;
let before: ReturnType<typeof liveHandles>;

beforeEach(async () => {
  before = liveHandles();
  pair = await Pair.openFor('memory');
});

afterEach(async () => {
  await pair.close();
  for (const file of files.splice(0)) closeSync(file);
  expect(liveHandles()).toEqual(before);
});

/** What the server would send through a socket is wrong: then only what lies in memory can be right. */
function spoilSocket(blocks: ReturnType<typeof blocksOf>): void {
  for (const { block } of blocks) {
    const entry = pair.host.blocks.get(block.key)!;
    pair.host.blocks.set(block.key, { ...entry, bytes: bytesOf('never to be seen') });
  }
}

function place(key: string, shared: SharedPlace | null): void {
  pair.host.blocks.set(key, { ...pair.host.blocks.get(key)!, shared });
}

async function fetched(count: number, options: Parameters<Pair['clientFor']>[1] = {}): Promise<MemorySink> {
  const blocks = blocksOf('a', count);
  const sink = new MemorySink();
  const outcome = await pair.clientFor('memory', options).fetch(pair.target('memory'), keysOf(blocks), sink, NEVER);
  expect(outcome).toMatchObject({ blocks: count, bytes: count * BLOCK_BYTES, missing: null });
  for (const { block, bytes } of blocks) expect(Buffer.compare(sink.places.get(block.key)!, bytes)).toBe(0);
  await until(() => pair.host.pinned === 0);
  return sink;
}

describe('blocks in shared memory', () => {
  it('are copied from it and not sent', async () => {
    const blocks = blocksOf('a', PEER_BLOCKS_PINNED + 6);
    pair.host.add(blocks);
    spoilSocket(blocks);
    await fetched(blocks.length);
  });

  it('and others behind them are fetched each in its way', async () => {
    pair.host.add(blocksOf('a', 7));
    spoilSocket(blocksOf('a', 3));
    place(keyOf('a 3'), null);
    await fetched(7);
  });

  it('are all that the server pins for it: it does not look for others', async () => {
    pair.host.add(blocksOf('a', 3));
    place(keyOf('a 2'), null);
    await fetched(3);
    expect(pair.host.pinCalls).toBe(3);
  });

  it('are pinned only when the sink has stored the blocks pinned before', async () => {
    const blocks = blocksOf('a', PEER_BLOCKS_PINNED + 1);
    pair.host.add(blocks);
    const sink = new MemorySink();
    let open = () => {};
    const kept = new Promise<void>((resolve) => {
      open = resolve;
    });
    sink.onDone = () => kept;
    const client = pair.clientFor('memory');
    const fetch = client.fetch(pair.target('memory'), keysOf(blocks), sink, NEVER);
    await until(() => sink.arrived.length === PEER_BLOCKS_PINNED);
    // The peer would send `pinned` before it answers these pings.
    for (let i = 0; i < 3; i++) await client.ping(pair.target('memory'), 1000);
    expect(sink.places.size).toBe(PEER_BLOCKS_PINNED);
    open();
    expect((await fetch).blocks).toBe(blocks.length);
  });

  it.each<[string, () => SharedPlace]>([
    ['beyond the end of their file', () => ({ fileDescriptor: pair.host.memory!.fileDescriptor, offset: 8 << 20 })],
    ['in a file that is not open', () => ({ fileDescriptor: 999_999, offset: 0 })],
    ['in a file of another kind', () => ({ fileDescriptor: 0, offset: 0 })],
    ['in a file that can be cut short', () => ({ fileDescriptor: unsealed(), offset: 0 })],
    ['in a file that no view can show', () => ({ fileDescriptor: tooLarge(), offset: 0 })],
  ])('that are said to lie %s come through the socket', async (_, where) => {
    pair.host.add(blocksOf('a', 4));
    place(keyOf('a 2'), where());
    await fetched(4);
  });

  it('that change while they are pinned are not kept, and the link is closed', async () => {
    const blocks = blocksOf('a', 4);
    pair.host.add(blocks);
    const sink = new MemorySink();
    const client = pair.clientFor('memory');
    sink.onPlace = ({ index }) => {
      if (index === 2) pair.host.memory!.bytes.fill(0, 2 * BLOCK_BYTES, 2 * BLOCK_BYTES + 1);
    };
    await expect(client.fetch(pair.target('memory'), keysOf(blocks), sink, NEVER)).rejects.toThrow(Corrupt);
    expect(sink.arrived).toEqual(keysOf(blocks.slice(0, 2)));
    expect(sink.open.size).toBe(0);
    expect(client.links()).toEqual([]);
    await until(() => pair.host.pinned === 0);
  });

  it('are given up in the middle', async () => {
    const blocks = blocksOf('a', 8);
    pair.host.add(blocks);
    const giveUp = new AbortController();
    const sink = new MemorySink();
    sink.onPlace = ({ index }) => {
      if (index === 5) giveUp.abort();
    };
    const client = pair.clientFor('memory');
    await expect(client.fetch(pair.target('memory'), keysOf(blocks), sink, giveUp.signal)).rejects.toThrow(Cancelled);
    expect(sink.arrived).toEqual(keysOf(blocks.slice(0, 5)));
    expect(sink.open.size).toBe(0);
    await until(() => pair.host.pinned === 0);
    await client.ping(pair.target('memory'), 1000);
  });

  it('no longer count as memory of an idle reader', async () => {
    pair.host.add(blocksOf('a', 4));
    let dropped: () => void;
    const dropping = new Promise<void>((resolve) => {
      dropped = resolve;
    });
    const memory: SharedMemoryReader = {
      usable: true,
      bytesAt: ({ offset }, length) => pair.host.memory!.bytes.subarray(offset, offset + length),
      dropPages: () => dropped(),
      close: () => {},
    };
    await fetched(4, { openMemory: () => memory });
    await dropping;
  });
});

describe('a server that pins blocks', () => {
  let peer: RawClient;
  let clock: SimulatedClock;
  const blocks = blocksOf('a', PEER_BLOCKS_PINNED + 3);

  beforeEach(async () => {
    await pair.close();
    clock = new SimulatedClock();
    pair = await Pair.openFor('memory', { clock });
    pair.host.add(blocks);
    peer = await provedClient(pair.addresses.unixPath!);
    peer.send(1, { type: 'pin', keys: keysOf(blocks) });
    await peer.next('pinned');
  });

  afterEach(() => peer.socket.destroy());

  it('pins a bounded number at a time, and the next when these are unpinned', async () => {
    expect(pair.host.pinned).toBe(PEER_BLOCKS_PINNED);
    peer.send(1, { type: 'unpin' });
    const { message } = await peer.next('pinned');
    expect(message.blocks.map(({ block }) => block)).toEqual(
      blocks.slice(PEER_BLOCKS_PINNED).map(({ block }) => block),
    );
    expect(pair.host.pinned).toBe(3);
    peer.send(1, { type: 'unpin' });
    await peer.next('done');
    expect(pair.host.pinned).toBe(0);
  });

  it('does not pin blocks for other requests of the same peer meanwhile', async () => {
    peer.send(2, { type: 'pin', keys: keysOf(blocks) });
    peer.send(3, { type: 'ping' });
    await peer.next('pong');
    expect(pair.host.pinned).toBe(PEER_BLOCKS_PINNED);
    peer.send(1, { type: 'cancel' });
    const { request } = await peer.next('pinned');
    expect(request).toBe(2);
  });

  it('unpins all when the peer cancels', async () => {
    peer.send(1, { type: 'cancel' });
    await peer.next('done');
    expect(pair.host.pinned).toBe(0);
  });

  it('unpins all when the connection is closed', async () => {
    peer.socket.destroy();
    await until(() => pair.host.pinned === 0);
  });

  it('closes the connection of a peer that keeps them pinned too long, even if it sends other requests', async () => {
    await clock.advance(PEER_PIN_MS - 1);
    peer.send(2, { type: 'ping' });
    await peer.next('pong');
    expect(pair.host.pinned).toBe(PEER_BLOCKS_PINNED);
    await clock.advance(1);
    await peer.closed;
    await until(() => pair.host.pinned === 0);
  });

  it('gives each group of pinned blocks its own time', async () => {
    await clock.advance(PEER_PIN_MS - 1);
    peer.send(1, { type: 'unpin' });
    await peer.next('pinned');
    await clock.advance(PEER_PIN_MS - 1);
    peer.send(1, { type: 'unpin' });
    await peer.next('done');
  });

  it('closes the connection of a peer that sends unpin for a request without pins', async () => {
    peer.send(1, { type: 'unpin' });
    await peer.next('pinned');
    peer.send(1, { type: 'unpin' });
    await peer.next('done');
    peer.send(2, { type: 'fetch', keys: keysOf(blocks) });
    peer.send(2, { type: 'unpin' });
    expect((await peer.next('error')).message).toMatchObject({ code: 'corrupt' });
    await peer.closed;
    await until(() => pair.host.pinned === 0);
  });
});
