import { constants } from 'node:buffer';
import { closeSync, ftruncateSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import type { SharedPlace } from '../../../src/core/shared-place.js';
import { Cancelled, Corrupt } from '../../../src/errors.js';
import { PEER_BLOCKS_LENT, PEER_LOAN_MS } from '../../../src/limits.js';
import { liveHandles } from '../../../src/native/handle.js';
import { memoryFile, seal } from '../../../src/native/libc.js';
import type { PeerMemory } from '../../../src/peer/client/peer-memory.js';
import { BLOCK_BYTES, blocksOf, bytesOf, keyOf } from './support/host.js';
import { Pair } from './support/pair.js';
import { provedClient, type RawClient } from './support/raw-peer.js';
import { MemorySink } from './support/sink.js';
import { until } from './support/until.js';

/** Blocks that a peer on this host reads where they lie. */

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
  await until(() => pair.host.lent === 0);
  return sink;
}

describe('blocks in shared memory', () => {
  it('are copied out of it, and not sent', async () => {
    const blocks = blocksOf('a', PEER_BLOCKS_LENT + 6);
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

  it('are all that is lent for it: others are not even looked for', async () => {
    pair.host.add(blocksOf('a', 3));
    place(keyOf('a 2'), null);
    await fetched(3);
    expect(pair.host.lendings).toBe(3);
  });

  it('are lent anew only when those before are where they belong', async () => {
    const blocks = blocksOf('a', PEER_BLOCKS_LENT + 1);
    pair.host.add(blocks);
    const sink = new MemorySink();
    let open = () => {};
    const kept = new Promise<void>((resolve) => {
      open = resolve;
    });
    sink.onDone = () => kept;
    const client = pair.clientFor('memory');
    const fetch = client.fetch(pair.target('memory'), keysOf(blocks), sink, NEVER);
    await until(() => sink.arrived.length === PEER_BLOCKS_LENT);
    // Whatever the peer lends, it says before it answers these.
    for (let i = 0; i < 3; i++) await client.ping(pair.target('memory'), 1000);
    expect(sink.places.size).toBe(PEER_BLOCKS_LENT);
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

  it('that change while they are lent are not kept, and the link is over', async () => {
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
    await until(() => pair.host.lent === 0);
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
    await until(() => pair.host.lent === 0);
    await client.ping(pair.target('memory'), 1000);
  });

  it('stop counting as the memory of who read them', async () => {
    pair.host.add(blocksOf('a', 4));
    let rested: () => void;
    const resting = new Promise<void>((resolve) => {
      rested = resolve;
    });
    const memory: PeerMemory = {
      usable: true,
      view: ({ offset }, length) => pair.host.memory!.bytes.subarray(offset, offset + length),
      rest: () => rested(),
      close: () => {},
    };
    await fetched(4, { openMemory: () => memory });
    await resting;
  });
});

describe('a server that lends', () => {
  let peer: RawClient;
  let clock: SimulatedClock;
  const blocks = blocksOf('a', PEER_BLOCKS_LENT + 3);

  beforeEach(async () => {
    await pair.close();
    clock = new SimulatedClock();
    pair = await Pair.openFor('memory', { clock });
    pair.host.add(blocks);
    peer = await provedClient(pair.addresses.unixPath!);
    peer.send(1, { type: 'borrow', keys: keysOf(blocks) });
    await peer.next('lent');
  });

  afterEach(() => peer.socket.destroy());

  it('lends so many at a time, and the next when these are returned', async () => {
    expect(pair.host.lent).toBe(PEER_BLOCKS_LENT);
    peer.send(1, { type: 'return' });
    const { message } = await peer.next('lent');
    expect(message.blocks.map(({ block }) => block)).toEqual(blocks.slice(PEER_BLOCKS_LENT).map(({ block }) => block));
    expect(pair.host.lent).toBe(3);
    peer.send(1, { type: 'return' });
    await peer.next('done');
    expect(pair.host.lent).toBe(0);
  });

  it('lends no more to other requests of the same peer meanwhile', async () => {
    peer.send(2, { type: 'borrow', keys: keysOf(blocks) });
    peer.send(3, { type: 'ping' });
    await peer.next('pong');
    expect(pair.host.lent).toBe(PEER_BLOCKS_LENT);
    peer.send(1, { type: 'cancel' });
    const { request } = await peer.next('lent');
    expect(request).toBe(2);
  });

  it('takes back what is lent when the peer gives up', async () => {
    peer.send(1, { type: 'cancel' });
    await peer.next('done');
    expect(pair.host.lent).toBe(0);
  });

  it('takes back what is lent when the peer is gone', async () => {
    peer.socket.destroy();
    await until(() => pair.host.lent === 0);
  });

  it('closes on a peer that keeps them and goes on with other things', async () => {
    await clock.advance(PEER_LOAN_MS - 1);
    peer.send(2, { type: 'ping' });
    await peer.next('pong');
    expect(pair.host.lent).toBe(PEER_BLOCKS_LENT);
    await clock.advance(1);
    await peer.closed;
    await until(() => pair.host.lent === 0);
  });

  it('allows each loan its own time', async () => {
    await clock.advance(PEER_LOAN_MS - 1);
    peer.send(1, { type: 'return' });
    await peer.next('lent');
    await clock.advance(PEER_LOAN_MS - 1);
    peer.send(1, { type: 'return' });
    await peer.next('done');
  });

  it('closes on a peer that returns what it does not have', async () => {
    peer.send(1, { type: 'return' });
    await peer.next('lent');
    peer.send(1, { type: 'return' });
    await peer.next('done');
    peer.send(2, { type: 'fetch', keys: keysOf(blocks) });
    peer.send(2, { type: 'return' });
    expect((await peer.next('error')).message).toMatchObject({ code: 'corrupt' });
    await peer.closed;
    await until(() => pair.host.lent === 0);
  });
});
