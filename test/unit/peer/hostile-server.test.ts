import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import { Corrupt, DeadlineExceeded, Refused, ShoalError, Unavailable } from '../../../src/errors.js';
import { HANDSHAKE_TIMEOUT_MS } from '../../../src/limits.js';
import { PEER_DRAIN_MS } from '../../../src/peer/client/link.js';
import { PeerClient, type PeerClientOptions, type PeerTarget } from '../../../src/peer/client/peer-client.js';
import { packFrame } from '../../../src/peer/wire/frame.js';
import type { ServerMessage } from '../../../src/peer/wire/messages.js';
import { blocksOf, keyOf, MemoryHost } from './support/host.js';
import { ALICE, BOB, SECRET } from './support/pair.js';
import { anyFromServer, provedServer, type RawServer } from './support/raw-peer.js';
import { MemorySink } from './support/sink.js';
import { until } from './support/until.js';

/** What a client makes of a server that breaks the rules: an error, no memory beyond what it asked for, and no link. */

const BYTES = 96;
const NEVER = new AbortController().signal;
const [first, second] = blocksOf('a', 2, BYTES) as [Block, Block];
type Block = ReturnType<typeof blocksOf>[number];

let folder: string;
let path: string;
let server: net.Server | null = null;
let client: PeerClient | null = null;
const sockets = new Set<net.Socket>();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-peer-'));
  path = join(folder, 'bob.sock');
});

afterEach(async () => {
  client?.close();
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  server?.close();
  await rm(folder, { recursive: true, force: true });
});

function target(): PeerTarget {
  return { ...BOB, generation: 0, address: { hostId: 'here', unixPath: path, tcpHost: null, tcpPort: null } };
}

function dialler(options: Partial<PeerClientOptions> = {}): PeerClient {
  client = new PeerClient({ identity: ALICE, hostId: 'here', secret: SECRET, blockBytes: BYTES, ...options });
  return client;
}

async function answering(answer: (peer: RawServer, request: number) => void): Promise<void> {
  server = await provedServer(path, async (peer) => {
    sockets.add(peer.socket);
    const { request } = await peer.next('fetch');
    answer(peer, request);
  });
}

async function listening(then: (socket: net.Socket) => void): Promise<void> {
  server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    then(socket);
  });
  server.listen(path);
  await once(server, 'listening');
}

const KEYS = [first.block.key, second.block.key];
const block = (entry: Block): ServerMessage => ({ type: 'block', block: entry.block });

describe('a client whose server', () => {
  it.each<[string, (peer: RawServer, request: number) => void, number]>([
    ['sends a block that is not due', (peer, request) => peer.send(request, block(second), second.bytes), 0],
    ['sends a block that nobody asked for', (peer) => peer.send(999, block(first), first.bytes), 0],
    [
      'sends a block that is too short',
      (peer, request) => peer.send(request, block(first), new Uint8Array(BYTES - 1)),
      0,
    ],
    [
      'announces a block that is too long',
      (peer, request) => {
        const { code, header } = anyFromServer.pack(block(first));
        peer.sendFrame(code, request, header, 0xffffffff);
      },
      0,
    ],
    ['sends a block without its bytes', (peer, request) => peer.send(request, block(first)), 0],
    [
      'sends a block twice',
      (peer, request) => {
        peer.send(request, block(first), first.bytes);
        peer.send(request, block(first), first.bytes);
      },
      1,
    ],
    [
      'is done too soon',
      (peer, request) => {
        peer.send(request, block(first), first.bytes);
        peer.send(request, { type: 'done' });
      },
      1,
    ],
    [
      'misses a block out of turn',
      (peer, request) => peer.send(request, { type: 'missing', key: second.block.key }),
      0,
    ],
    [
      'answers with something else',
      (peer, request) => peer.send(request, { type: 'wanted', wanted: [0], held: [] }),
      0,
    ],
    ['answers a fetch with a pong', (peer, request) => peer.send(request, { type: 'pong' }), 0],
    ['begins the handshake anew', (peer) => peer.send(0, { type: 'welcome', ...BOB, mac: new Uint8Array(32) }), 0],
    ['sends bytes that are no frame', (peer) => peer.socket.write(Buffer.alloc(100, 1)), 0],
  ])('%s takes it for Corrupt and closes the link', async (_, answer, arrived) => {
    await answering(answer);
    const sink = new MemorySink();
    await expect(dialler().fetch(target(), KEYS, sink, NEVER)).rejects.toThrow(Corrupt);
    expect(sink.arrived.length).toBe(arrived);
    expect(sink.places.size).toBe(arrived);
    expect(sink.open.size).toBe(0);
    expect(client!.links()).toEqual([]);
  });

  it('breaks off in the middle of a block gets one error, and its memory is released', async () => {
    await answering((peer, request) => {
      const { code, header } = anyFromServer.pack(block(first));
      peer.sendFrame(code, request, header, BYTES, first.bytes.subarray(0, 50));
      peer.socket.end();
    });
    const sink = new MemorySink();
    await expect(dialler().fetch(target(), KEYS, sink, NEVER)).rejects.toThrow(Unavailable);
    expect(sink.aborted).toEqual([first.block.key]);
  });

  /** A fetch that is given up when some bytes of its first block have come. */
  async function givenUpInTheMiddle(options: Partial<PeerClientOptions>): Promise<MemorySink> {
    const sink = new MemorySink();
    const giveUp = new AbortController();
    sink.onPlace = () => setImmediate(() => giveUp.abort());
    const fetch = dialler(options).fetch(target(), KEYS, sink, giveUp.signal);
    await expect(fetch).rejects.toThrow('the caller cancelled');
    expect(sink.places.size).toBe(1);
    return sink;
  }

  function sendPart(peer: RawServer, request: number): void {
    const { code, header } = anyFromServer.pack(block(first));
    peer.sendFrame(code, request, header, BYTES, first.bytes.subarray(0, 50));
  }

  it('stalls in the middle of a block delays no other request, and the memory is released when the link is closed', async () => {
    await answering(sendPart);
    const sink = await givenUpInTheMiddle({ progressTimeoutMs: 100 });
    expect(sink.open.size).toBe(1);
    await until(() => sink.open.size === 0);
    expect(sink.aborted).toEqual([first.block.key]);
    expect(client!.links()).toEqual([]);
  });

  it('is slow with the rest of a block that was given up has the link closed in time', async () => {
    const clock = new SimulatedClock();
    let peer!: RawServer;
    await answering((raw, request) => {
      peer = raw;
      sendPart(raw, request);
    });
    const sink = await givenUpInTheMiddle({ clock });
    peer.socket.write(first.bytes.subarray(50, 60));
    await until(() => sink.open.size === 0);
    await clock.advance(PEER_DRAIN_MS - 1);
    expect(client!.links()).toMatchObject([{ state: 'open' }]);
    await clock.advance(1);
    await until(() => client!.links().length === 0);
    expect(sink.aborted).toEqual([first.block.key]);
  });

  it('sends the rest of a block that was given up soon keeps the link', async () => {
    const clock = new SimulatedClock();
    await answering((peer, request) => {
      sendPart(peer, request);
      peer.next('cancel').then(() => {
        peer.socket.write(first.bytes.subarray(50));
        peer.send(request, { type: 'done' });
      });
      peer.next('ping').then(({ request: ping }) => peer.send(ping, { type: 'pong' }));
    });
    const sink = await givenUpInTheMiddle({ clock });
    await client!.ping(target(), 5_000);
    await clock.advance(10 * PEER_DRAIN_MS);
    expect(client!.links()).toMatchObject([{ state: 'open', requestsInFlight: 0 }]);
    expect([sink.open.size, sink.arrived]).toEqual([0, []]);
  });

  it.each<[string, ServerMessage[]]>([
    ['a bucket that the summary does not have', [{ type: 'compared', differing: [2] }]],
    ['a bucket twice', [{ type: 'compared', differing: [1, 1] }]],
    ['buckets out of turn', [{ type: 'compared', differing: [1, 0] }]],
    ['blocks that it wants', [{ type: 'wanted', wanted: [0], held: [] }]],
    ['a pong', [{ type: 'pong' }]],
    [
      'two answers',
      [
        { type: 'compared', differing: [] },
        { type: 'compared', differing: [] },
      ],
    ],
  ])('answers a summary with %s takes it for Corrupt and closes the link', async (_, answers) => {
    server = await provedServer(path, async (peer) => {
      sockets.add(peer.socket);
      const { request } = await peer.next('compare');
      for (const answer of answers) peer.send(request, answer);
    });
    const compared = dialler().compare(target(), { epoch: 'e', digests: new Uint8Array(16) }, NEVER);
    if (answers.length === 1) await expect(compared).rejects.toThrow(Corrupt);
    else expect(await compared).toEqual([]);
    await until(() => client!.links().length === 0);
  });

  it.each([
    ['twice', [[0], [1]]],
    ['out of turn', [[1, 0]]],
    ['more than once', [[0, 0]]],
  ])('wants blocks %s takes it for Corrupt, and pins no more', async (_, answers) => {
    server = await provedServer(path, async (peer) => {
      sockets.add(peer.socket);
      const { request } = await peer.next('offer');
      for (const wanted of answers) peer.send(request, { type: 'wanted', wanted, held: [] });
    });
    const own = new MemoryHost(BYTES);
    const push = dialler().push(target(), ...own.offer([first, second]), NEVER);
    await expect(push).rejects.toThrow(Corrupt);
    await until(() => own.pinned === 0);
    expect(own.pinCalls).toBeLessThanOrEqual(1);
  });

  it('wants blocks that were not offered takes it for Corrupt and releases all', async () => {
    server = await provedServer(path, async (peer) => {
      sockets.add(peer.socket);
      const { request } = await peer.next('offer');
      peer.send(request, { type: 'wanted', wanted: [0, 5], held: [] });
    });
    const own = new MemoryHost(BYTES);
    const push = dialler().push(target(), ...own.offer([first, second]), NEVER);
    await expect(push).rejects.toThrow(Corrupt);
    await until(() => own.pinned === 0);
  });

  it('does not know the secret is refused, and gets no more than the proof', async () => {
    const said: string[] = [];
    await listening((socket) => {
      socket.on('data', (chunk: Buffer) => {
        said.push(chunk.toString('latin1'));
        const challenge = { nonce: new Uint8Array(32) };
        const { code, header } =
          said.length === 1
            ? anyFromServer.pack({ type: 'challenge', ...challenge })
            : anyFromServer.pack({ type: 'welcome', ...BOB, mac: new Uint8Array(32) });
        socket.write(packFrame(code, 0, header, 0));
      });
    });
    await expect(dialler().fetch(target(), KEYS, new MemorySink(), NEVER)).rejects.toThrow(Refused);
    expect(said.length).toBe(2);
    expect(said.join('')).not.toContain(SECRET);
  });

  it.each([
    ['random bytes', Buffer.from('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')],
    ['nothing, and goes', Buffer.alloc(0)],
  ])('answers the greeting with %s gets an error', async (_, answer) => {
    await listening((socket) => socket.once('data', () => socket.end(answer)));
    await expect(dialler().ping(target(), 5_000)).rejects.toThrow(ShoalError);
    expect(client!.links()).toEqual([]);
  });

  it('does not greet is given up when the time for the handshake is over', async () => {
    const clock = new SimulatedClock();
    await listening((socket) => socket.resume());
    const fetch = dialler({ clock }).fetch(target(), [keyOf('a')], new MemorySink(), NEVER);
    const failed = expect(fetch).rejects.toThrow(Unavailable);
    await until(() => sockets.size === 1);
    await clock.advance(HANDSHAKE_TIMEOUT_MS);
    await failed;
  });

  it('does not answer a ping is past the deadline, and the link stays', async () => {
    const clock = new SimulatedClock();
    let pinged = false;
    server = await provedServer(path, async (peer) => {
      sockets.add(peer.socket);
      await peer.next('ping');
      pinged = true;
    });
    const ping = dialler({ clock }).ping(target(), 500);
    const failed = expect(ping).rejects.toThrow(DeadlineExceeded);
    await until(() => pinged);
    await clock.advance(500);
    await failed;
    expect(client!.links()).toMatchObject([{ state: 'open', requestsInFlight: 1 }]);
  });
});
