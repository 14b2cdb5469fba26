import net from 'node:net';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import { BUCKET_DIGEST_BYTES, SUMMARY_BUCKETS } from '../../../src/core/anti-entropy.js';
import type { SealedBlock } from '../../../src/core/block.js';
import {
  FRAME_HEADER_BYTES,
  HANDSHAKE_TIMEOUT_MS,
  PEER_OFFER_BLOCKS,
  PEER_PROGRESS_TIMEOUT_MS,
  PEER_REQUESTS_IN_FLIGHT,
} from '../../../src/limits.js';
import { PEER_BLOCKS_RESERVED } from '../../../src/peer/server/peer-server.js';
import { packFrame } from '../../../src/peer/wire/frame.js';
import { ClientHandshake, type Purpose } from '../../../src/peer/wire/handshake.js';
import { SeededRandom } from '../../../src/random.js';
import { encode } from '../../../src/wire/msgpack.js';
import { blocksOf, bytesOf, keyOf, MemoryHost } from './support/host.js';
import { NotingObserver } from './support/observer.js';
import { ALICE, BOB, Pair, SECRET } from './support/pair.js';
import { type AnyClientMessage, anyFromClient, provedClient, type RawClient, rawClient } from './support/raw-peer.js';
import { MemorySink } from './support/sink.js';
import { until } from './support/until.js';

/** What a server does with peers that break the rules: it closes the connection, keeps nothing, and serves the others. */

const BYTES = 96;
const PUT = anyFromClient.pack({ type: 'put', index: 0 }).code;
const [stored] = blocksOf('stored', 1, BYTES);
const [pushed] = blocksOf('pushed', 1, BYTES) as [{ block: SealedBlock; bytes: Uint8Array }];

let pair: Pair;
let observer: NotingObserver;

async function open(options: Parameters<typeof Pair.open>[0] = {}): Promise<void> {
  observer = new NotingObserver();
  const host = new MemoryHost(BYTES).add([stored!]);
  pair = await Pair.open({ host, blockBytes: BYTES, observer, ...options });
}

beforeEach(() => open());
afterEach(() => pair.close());

async function expectUnharmed(admissions = 0): Promise<void> {
  await until(() => pair.server.connections === 0);
  expect(pair.host).toMatchObject({ pinned: 0, admissions });
  expect(pair.host.admitted.size).toBe(0);
  expect([...pair.host.blocks.keys()]).toEqual([stored!.block.key]);
  const sink = new MemorySink();
  const client = pair.client({ blockBytes: BYTES });
  const outcome = await client.fetch(pair.target('unix'), [stored!.block.key], sink, new AbortController().signal);
  expect(outcome.blocks).toBe(1);
  client.close();
}

function frameOf(request: number, message: AnyClientMessage, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const { code, header } = anyFromClient.pack(message);
  return Buffer.concat([packFrame(code, request, header, payload.byteLength), payload]);
}

/** Sends bytes, says that there are no more, and waits until the server has closed. */
async function sendAll(bytes: Uint8Array, end = true): Promise<void> {
  const socket = net.connect(pair.addresses.unixPath!);
  socket.on('error', () => {});
  socket.resume();
  const closed = new Promise((resolve) => socket.once('close', resolve));
  if (end) socket.end(bytes);
  else socket.write(bytes);
  await closed;
}

/** All that a client says who fetches a block and pushes another, to a server whose nonce is always the same. */
async function conversation(): Promise<Uint8Array> {
  const handshake = new ClientHandshake(ALICE, BOB, 'blocks', SECRET, new Uint8Array(32).fill(1));
  const peer = await rawClient(pair.addresses.unixPath!);
  peer.send(0, handshake.hello);
  const { message: challenge } = await peer.next('challenge');
  peer.socket.destroy();
  await until(() => pair.server.connections === 0);
  return Buffer.concat([
    frameOf(0, handshake.hello),
    frameOf(0, handshake.prove(challenge)),
    frameOf(1, { type: 'fetch', keys: [stored!.block.key] }),
    frameOf(2, { type: 'offer', blocks: [pushed.block] }),
    frameOf(2, { type: 'put', index: 0 }, pushed.bytes),
  ]);
}

function handshakeFor(purpose: Purpose): ClientHandshake {
  return new ClientHandshake(ALICE, BOB, purpose, SECRET, new Uint8Array(32).fill(1));
}

const SAME_NONCE = {
  random: { next: () => 0, below: () => 0, bytes: (count: number) => new Uint8Array(count).fill(7) },
};

async function inBatches(count: number, run: (i: number) => Promise<void>): Promise<void> {
  for (let from = 0; from < count; from += 50) {
    await Promise.all(Array.from({ length: Math.min(50, count - from) }, (_, i) => run(from + i)));
  }
}

describe('a server that is sent', () => {
  it('random bytes closes the connection and keeps serving', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 3000 }), (bytes) => sendAll(bytes)),
      { numRuns: 50 },
    );
    expect(observer.failures.length).toBeGreaterThanOrEqual(50);
    await expectUnharmed();
  });

  it('random bytes by an authenticated peer closes the connection and keeps serving', async () => {
    const random = new SeededRandom(1);
    for (let i = 0; i < 20; i++) {
      const peer = await provedClient(pair.addresses.unixPath!);
      peer.socket.write(random.bytes(1 + random.below(3000)));
      peer.socket.end();
      await peer.closed;
    }
    await expectUnharmed();
  });

  it('nothing, as by a probe of its port, counts no failure', async () => {
    await sendAll(new Uint8Array(0));
    await until(() => pair.server.connections === 0);
    expect(observer.failures).toEqual([]);
    await sendAll(Uint8Array.of(1));
    expect(observer.failures).toEqual(['unavailable']);
  });

  it('a conversation cut off at any byte keeps no memory of it', async () => {
    await pair.close();
    await open(SAME_NONCE);
    const bytes = await conversation();
    await inBatches(bytes.byteLength, (length) => sendAll(bytes.subarray(0, length)));
    await until(() => pair.server.connections === 0);
    await expectUnharmed(pair.host.admissions);
    // The whole of it is right: so it was the cuts that were refused.
    await sendAll(bytes);
    await until(() => pair.host.blocks.has(pushed.block.key));
  });

  it('a conversation with any one byte changed closes the connection and keeps no memory', async () => {
    await pair.close();
    await open(SAME_NONCE);
    const bytes = await conversation();
    const failuresBefore = observer.failures.length;
    await inBatches(bytes.byteLength, (at) => {
      const changed = Uint8Array.from(bytes);
      changed[at]! ^= 1 << (at % 8);
      return sendAll(changed);
    });
    await until(() => pair.server.connections === 0);
    expect(observer.failures.length - failuresBefore).toBe(bytes.byteLength);
    expect(observer.integrityFailures.map(({ stage }) => stage)).toEqual(Array(BYTES).fill('push'));
    await expectUnharmed(pair.host.admissions);
  });

  it('requests by a peer that has not proved itself does not look at them', async () => {
    const requests: AnyClientMessage[] = [
      { type: 'fetch', keys: [stored!.block.key] },
      { type: 'offer', blocks: [pushed.block] },
      { type: 'ping' },
      { type: 'proof', mac: new Uint8Array(32) },
    ];
    for (const message of requests) await sendAll(frameOf(message.type === 'proof' ? 0 : 1, message), false);
    expect(pair.host.pinCalls).toBe(0);
    await expectUnharmed();
  });

  it('a handshake that it has seen before refuses it', async () => {
    const peer = await rawClient(pair.addresses.unixPath!);
    const handshake = new ClientHandshake(ALICE, BOB, 'blocks', SECRET, new Uint8Array(32).fill(1));
    peer.send(0, handshake.hello);
    const proof = handshake.prove((await peer.next('challenge')).message);
    peer.send(0, proof);
    await peer.next('welcome');
    peer.socket.destroy();
    const replayed = await rawClient(pair.addresses.unixPath!);
    replayed.send(0, handshake.hello);
    await replayed.next('challenge');
    replayed.send(0, proof);
    expect((await replayed.next('error')).message).toMatchObject({ code: 'refused' });
    await replayed.closed;
    await expectUnharmed();
  });

  it.each<[string, object]>([
    ['no purpose', {}],
    ['an unknown purpose', { purpose: 'tea' }],
    ['a purpose that is not a string', { purpose: 1 }],
  ])('a hello with %s closes the connection', async (_, purpose) => {
    const { type: _type, purpose: _purpose, ...fields } = handshakeFor('blocks').hello;
    const peer = await rawClient(pair.addresses.unixPath!);
    peer.sendFrame(1, 0, encode({ ...fields, ...purpose }), 0);
    await peer.closed;
    expect(observer.failures).toEqual(['corrupt']);
    await expectUnharmed();
  });

  it.each<[Purpose, Purpose]>([
    ['calls', 'blocks'],
    ['blocks', 'calls'],
  ])('a proof for %s behind a hello for %s refuses it', async (proved, said) => {
    const peer = await rawClient(pair.addresses.unixPath!);
    const handshake = handshakeFor(proved);
    peer.send(0, { ...handshake.hello, purpose: said });
    peer.send(0, handshake.prove((await peer.next('challenge')).message));
    const { message } = await peer.next('error');
    expect(message).toMatchObject({ code: 'refused', message: expect.stringContaining('another cluster secret') });
    await peer.closed;
    await expectUnharmed();
  });

  it('a proved hello for calls refuses it, because calls are not served', async () => {
    const peer = await rawClient(pair.addresses.unixPath!);
    const handshake = handshakeFor('calls');
    peer.send(0, handshake.hello);
    peer.send(0, handshake.prove((await peer.next('challenge')).message));
    const { message } = await peer.next('error');
    expect(message).toMatchObject({ code: 'refused', message: 'this worker takes no calls over this connection' });
    await peer.closed;
    expect(observer.failures).toEqual(['refused']);
    await expectUnharmed();
  });

  it('lengths over the bounds allocates no memory for them', async () => {
    const header = anyFromClient.pack({
      type: 'hello',
      ...ALICE,
      nonce: new Uint8Array(32),
      wantedId: 'bob',
      wantedIncarnation: '0001',
      purpose: 'blocks',
    });
    await sendAll(packFrame(header.code, 0, new Uint8Array(1100), 0), false);
    await sendAll(packFrame(header.code, 0, header.header, 1), false);
    const long: [string, (peer: RawClient) => void][] = [
      ['header', (peer) => peer.sendFrame(16, 5, new Uint8Array(FRAME_HEADER_BYTES + 1), 0)],
      ['payload where none is due', (peer) => peer.sendFrame(16, 5, new Uint8Array(0), BYTES)],
      [
        'short block',
        (peer) => peer.sendFrame(PUT, 1, anyFromClient.pack({ type: 'put', index: 0 }).header, BYTES - 1),
      ],
      [
        'long block',
        (peer) => peer.sendFrame(PUT, 1, anyFromClient.pack({ type: 'put', index: 0 }).header, 0xffffffff),
      ],
    ];
    for (const [, send] of long) {
      const peer = await provedClient(pair.addresses.unixPath!);
      peer.send(1, { type: 'offer', blocks: [pushed.block] });
      await peer.next('wanted');
      send(peer);
      await peer.closed;
    }
    await expectUnharmed(long.length);
  });

  it.each<[string, (peer: RawClient) => void]>([
    ['a block that was not offered', (peer) => peer.send(9, { type: 'put', index: 0 }, bytesOf('x', BYTES))],
    ['a block out of turn', (peer) => peer.send(1, { type: 'put', index: 1 }, bytesOf('x', BYTES))],
    ['a request with a number that is in flight', (peer) => peer.send(1, { type: 'ping' })],
    ['a request with the number 0', (peer) => peer.send(0, { type: 'ping' })],
    ['a second hello', (peer) => peer.send(0, { type: 'proof', mac: new Uint8Array(32) })],
    ['a message of the other direction', (peer) => peer.sendFrame(34, 1, Uint8Array.of(0x80), 0)],
    ['a message that means nothing', (peer) => peer.sendFrame(99, 1, Uint8Array.of(0x80), 0)],
  ])('%s closes the connection', async (_, send) => {
    const peer = await provedClient(pair.addresses.unixPath!);
    peer.send(1, { type: 'offer', blocks: [pushed.block] });
    await peer.next('wanted');
    send(peer);
    await peer.closed;
    await expectUnharmed(1);
  });

  it.each<[string, number, object]>([
    ['three buckets', 23, { epoch: 'e', digests: new Uint8Array(24) }],
    ['too many buckets', 23, { epoch: 'e', digests: new Uint8Array(2 * SUMMARY_BUCKETS * BUCKET_DIGEST_BYTES) }],
    ['no epoch', 23, { digests: new Uint8Array(8) }],
    ['an endless epoch', 23, { epoch: 'e'.repeat(10_000), digests: new Uint8Array(8) }],
    ['a repair of too many blocks', 24, { blocks: new Uint8Array(112 * (PEER_OFFER_BLOCKS + 1)) }],
    ['a repair of half a block', 24, { blocks: new Uint8Array(56) }],
  ])('a summary or repair with %s closes the connection', async (_, code, fields) => {
    const peer = await provedClient(pair.addresses.unixPath!);
    peer.sendFrame(code, 1, encode(fields), 0);
    await peer.closed;
    expect(observer.failures).toEqual(['corrupt']);
    await expectUnharmed();
  });

  it('endless summaries bounds its comparisons, and answers each once', async () => {
    await pair.close();
    let comparisons = 0;
    await open({
      comparer: () => {
        comparisons++;
        return new Promise(() => {});
      },
    });
    const peer = await provedClient(pair.addresses.unixPath!);
    const summary = { type: 'compare', epoch: 'e', digests: new Uint8Array(8) } as const;
    peer.send(1, summary);
    peer.send(1, { type: 'cancel' });
    await peer.next('done');
    for (let request = 2; request <= 2 * PEER_REQUESTS_IN_FLIGHT + 3; request++) peer.send(request, summary);
    await peer.closed;
    expect(observer.failures).toContain('overloaded');
    expect(comparisons).toBeLessThanOrEqual(2 * PEER_REQUESTS_IN_FLIGHT + 1);
    await expectUnharmed();
  });

  it('a block for a request that compares closes the connection', async () => {
    await pair.close();
    await open({ comparer: () => new Promise(() => {}) });
    const peer = await provedClient(pair.addresses.unixPath!);
    peer.send(1, { type: 'compare', epoch: 'e', digests: new Uint8Array(8) });
    peer.send(1, { type: 'put', index: 0 }, pushed.bytes);
    await peer.closed;
    expect(observer.failures).toEqual(['corrupt']);
    await expectUnharmed();
  });

  it('cancellations of requests that are not in flight ignores them', async () => {
    const peer = await provedClient(pair.addresses.unixPath!);
    peer.send(77, { type: 'cancel' });
    peer.send(1, { type: 'ping' });
    expect((await peer.next('pong')).request).toBe(1);
    peer.socket.destroy();
    await expectUnharmed();
  });

  it('more requests than it may be closes the connection', async () => {
    pair.host.beforePin = () => new Promise(() => {});
    const peer = await provedClient(pair.addresses.unixPath!);
    for (let request = 1; request <= 2 * PEER_REQUESTS_IN_FLIGHT + 1; request++) {
      peer.send(request, { type: 'fetch', keys: [keyOf('a')] });
    }
    await peer.closed;
    expect(observer.failures).toContain('overloaded');
    pair.host.beforePin = () => {};
    await expectUnharmed();
  });
});

describe('a server whose peer', () => {
  it('only offers blocks reserves memory for a few of them, over however many connections, and frees it', async () => {
    const offers = 2 * PEER_REQUESTS_IN_FLIGHT;
    const blocks = blocksOf('promised', offers * PEER_OFFER_BLOCKS, BYTES).map(({ block }) => block);
    const offered = async (peer: Awaited<ReturnType<typeof provedClient>>, first: number, count: number) => {
      let wanted = 0;
      for (let i = first; i < first + count; i++) {
        peer.send(i + 1, { type: 'offer', blocks: blocks.slice(i * PEER_OFFER_BLOCKS, (i + 1) * PEER_OFFER_BLOCKS) });
        wanted += (await peer.next('wanted')).message.wanted.length;
      }
      return wanted;
    };
    const peer = await provedClient(pair.addresses.unixPath!);
    expect(await offered(peer, 0, offers / 2)).toBe(PEER_BLOCKS_RESERVED);
    const again = await provedClient(pair.addresses.unixPath!);
    expect(await offered(again, offers / 2, offers / 2)).toBe(0);
    expect(pair.host.admitted.size).toBe(PEER_BLOCKS_RESERVED);
    again.socket.destroy();
    // What comes, or is called off, makes room for more.
    peer.send(1, { type: 'cancel' });
    expect(await offered(peer, offers - 1, 1)).toBe(PEER_OFFER_BLOCKS);
    peer.socket.destroy();
    await expectUnharmed(PEER_BLOCKS_RESERVED + PEER_OFFER_BLOCKS);
  });

  it('sends no block that it offered is cut off after the time allowed, whatever else it says', async () => {
    await pair.close();
    const clock = new SimulatedClock();
    await open({ clock });
    const peer = await provedClient(pair.addresses.unixPath!);
    peer.send(1, { type: 'offer', blocks: [pushed.block] });
    await peer.next('wanted');
    for (let request = 2; request < 22; request++) {
      await clock.advance(PEER_PROGRESS_TIMEOUT_MS / 20);
      peer.send(request, { type: 'ping' });
      if (request < 21) await peer.next('pong');
    }
    await peer.closed;
    expect(pair.host.admitted.size).toBe(0);
    await expectUnharmed(1);
  });

  it('is silent closes the connection when the time limit of the handshake is over', async () => {
    await pair.close();
    const clock = new SimulatedClock();
    await open({ clock });
    const peers = await Promise.all(Array.from({ length: 3 }, () => rawClient(pair.addresses.unixPath!)));
    await until(() => pair.server.connections === 3);
    await clock.advance(HANDSHAKE_TIMEOUT_MS - 1);
    expect(pair.server.connections).toBe(3);
    await clock.advance(1);
    await Promise.all(peers.map((peer) => peer.closed));
    expect(observer.failures).toEqual(['refused', 'refused', 'refused']);
    await expectUnharmed();
  });

  it('does not read the blocks that it fetched releases them after the time limit', async () => {
    await pair.close();
    const big = blocksOf('big', 4, 1 << 20);
    const host = new MemoryHost(1 << 20).add(big);
    await open({ host, blockBytes: 1 << 20, progressTimeoutMs: 30 });
    const peer = await provedClient(pair.addresses.unixPath!);
    const failed = observer.failed('unavailable');
    pair.server.onLinkClosed(() => observer.onFailure('unavailable'));
    peer.socket.pause();
    peer.send(1, { type: 'fetch', keys: big.map(({ block }) => block.key) });
    await until(() => host.pinned > 0);
    await failed;
    await until(() => pair.server.connections === 0);
    expect(host.pinned).toBe(0);
    peer.socket.destroy();
  });

  it('does not send the blocks that it offered frees their memory after the time limit', async () => {
    await pair.close();
    await open({ progressTimeoutMs: 30 });
    const peer = await provedClient(pair.addresses.unixPath!);
    peer.send(1, { type: 'offer', blocks: [pushed.block] });
    await peer.next('wanted');
    expect(pair.host.admitted.size).toBe(1);
    await peer.closed;
    await expectUnharmed(1);
  });

  it('is one too many closes the connection', async () => {
    await pair.close();
    await open({ connections: 2 });
    const peers = [await provedClient(pair.addresses.unixPath!), await provedClient(pair.addresses.unixPath!)];
    const third = await rawClient(pair.addresses.unixPath!);
    const handshake = handshakeFor('blocks');
    third.send(0, handshake.hello);
    third.send(0, handshake.prove((await third.next('challenge')).message));
    expect((await third.next('error')).message).toMatchObject({ code: 'overloaded' });
    await third.closed;
    expect(observer.failures).toEqual(['overloaded']);
    expect(pair.server.connections).toBe(2);
    for (const peer of peers) peer.socket.destroy();
    await expectUnharmed();
  });
});
