import net from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import type { SealedBlock } from '../../../src/core/block.js';
import type { PeerServerOptions } from '../../../src/peer/server/peer-server.js';
import { Connection, type ConnectionOwner, LEAST_BYTES_PER_MS } from '../../../src/peer/wire/connection.js';
import { packFrame } from '../../../src/peer/wire/frame.js';
import { ClientHandshake } from '../../../src/peer/wire/handshake.js';
import { fromClient } from '../../../src/peer/wire/messages.js';
import { blocksOf } from './support/host.js';
import { ALICE, BOB, Pair, type Via } from './support/pair.js';
import { provedClient, rawClient } from './support/raw-peer.js';
import { MemorySink } from './support/sink.js';
import { until } from './support/until.js';

/** Who proved nothing, who is no member, and who sends too slowly, against a server with real sockets. */

const NEVER = new AbortController().signal;
const FEW = { connections: 24, perAddress: 16, perSecond: 1_000, burst: 10_000 };
const [stored, pushed] = blocksOf('a', 2);

let pair: Pair;
const strangers: net.Socket[] = [];

async function open(options: Partial<PeerServerOptions> = {}): Promise<void> {
  pair = await Pair.open(options);
  pair.host.add([stored!]);
}

afterEach(async () => {
  for (const stranger of strangers.splice(0)) stranger.destroy();
  await pair.close();
});

/** Connections that say nothing; resolves when the kernel has connected all of them. */
async function idle(count: number, via: Via): Promise<net.Socket[]> {
  const { unixPath, tcpPort } = pair.addresses;
  const dial = () => (via === 'tcp' ? net.connect(tcpPort!, '127.0.0.1') : net.connect(unixPath!));
  const made = Array.from({ length: count }, dial);
  strangers.push(...made);
  await Promise.all(
    made.map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.on('error', () => {});
          socket.once('connect', resolve).once('close', resolve);
        }),
    ),
  );
  return made;
}

describe.each(['unix', 'tcp'] as const)('strangers who idle on %s', (via) => {
  it('do not keep a member out, and only the youngest of them stay', async () => {
    await open({ connections: 8, strangers: FEW, handshakeTimeoutMs: 60_000 });
    const idlers = await idle(200, via);
    const fetched = await pair.client().fetch(pair.target(via), [stored!.block.key], new MemorySink(), NEVER);
    expect(fetched.blocks).toBe(1);
    await until(() => idlers.filter(({ destroyed }) => !destroyed).length <= FEW.perAddress);
    expect(pair.server.connections).toBeLessThanOrEqual(FEW.perAddress + 1);
    const [oldest, youngest] = [idlers[0]!, idlers.at(-1)!];
    expect([oldest.destroyed, youngest.destroyed]).toEqual([true, false]);
  });
});

describe('a stranger', () => {
  it('learns a nonce, and nothing of the worker', async () => {
    await open();
    const peer = await rawClient(pair.addresses.unixPath!);
    const heard: Buffer[] = [];
    peer.socket.on('data', (chunk: Buffer) => heard.push(chunk));
    peer.send(0, new ClientHandshake(ALICE, BOB, 'blocks', 'a guess', new Uint8Array(32)).hello);
    const { message } = await peer.next('challenge');
    expect(Object.keys(message)).toEqual(['type', 'nonce']);
    const said = Buffer.concat(heard).toString('latin1');
    for (const secret of [BOB.id, BOB.incarnation, BOB.fingerprint]) expect(said).not.toContain(secret);
    peer.socket.destroy();
  });
});

describe('a peer that knows the secret and is no member', () => {
  const roleOf: PeerServerOptions['roleOf'] = ({ id, incarnation }) =>
    id === 'alice' && incarnation === '0001' ? 'worker' : 'stranger';
  const stranger = { ...ALICE, incarnation: '0002' };

  it('fetches nothing and pushes nothing, and is told why', async () => {
    await open({ roleOf });
    const client = pair.client({ identity: stranger });
    const fetch = client.fetch(pair.target('unix'), [stored!.block.key], new MemorySink(), NEVER);
    await expect(fetch).rejects.toThrow('alice (incarnation 0002) is not a member of this fleet');
    const before = [...pair.host.blocks.keys()];
    const pin = async () => null;
    for (const type of ['offer', 'repair'] as const) {
      await expect(client.push(pair.target('unix'), [pushed!.block], pin, NEVER, type)).rejects.toThrow('not a member');
    }
    const compared = client.compare(pair.target('unix'), { epoch: 'e', digests: new Uint8Array(8) }, NEVER);
    await expect(compared).rejects.toThrow('not a member');
    expect([...pair.host.blocks.keys()]).toEqual(before);
    expect([pair.host.pinCalls, pair.host.asked]).toEqual([0, []]);
    expect(await client.ping(pair.target('unix'), 5_000)).toBeGreaterThanOrEqual(0);
  });

  it('gets blocks over the same connection as soon as it is a member', async () => {
    let members = 0;
    await open({ roleOf: () => (members > 0 ? 'worker' : 'stranger') });
    const client = pair.client();
    const fetch = () => client.fetch(pair.target('unix'), [stored!.block.key], new MemorySink(), NEVER);
    await expect(fetch()).rejects.toThrow('not a member');
    members = 1;
    expect((await fetch()).blocks).toBe(1);
    expect(pair.server.connections).toBe(1);
  });
});

describe('a coordinator', () => {
  const own = { ...pushed!.block, maker: { id: ALICE.id, incarnation: ALICE.incarnation } };
  const pin = async () => ({ ...pushed!, block: own, shared: null, unpin: () => {} });

  beforeEach(() => open({ roleOf: () => 'coordinator' }));

  it('fetches blocks, and pushes those that it vouches for', async () => {
    const client = pair.client();
    const fetched = await client.fetch(pair.target('unix'), [stored!.block.key], new MemorySink(), NEVER);
    expect(fetched.blocks).toBe(1);
    expect([...(await client.push(pair.target('unix'), [own], pin, NEVER))]).toEqual([own.key]);
    expect(pair.host.blocks.get(own.key)?.block.maker).toEqual(own.maker);
  });

  it('pushes nothing under the name of another maker, and neither repairs nor compares', async () => {
    const client = pair.client();
    const other = { ...own, maker: { id: ALICE.id, incarnation: '0002' } };
    const push = (block: SealedBlock, type: 'offer' | 'repair') =>
      client.push(pair.target('unix'), [block], pin, NEVER, type);
    await expect(push(other, 'offer')).rejects.toThrow('may push only blocks that name it as their maker');
    await expect(push(own, 'repair')).rejects.toThrow("'repair' is for workers");
    const compared = client.compare(pair.target('unix'), { epoch: 'e', digests: new Uint8Array(8) }, NEVER);
    await expect(compared).rejects.toThrow("'compare' is for workers");
    expect([...pair.host.blocks.keys()]).toEqual([stored!.block.key]);
  });
});

describe('a proved peer that sends a frame', () => {
  const { code, header } = fromClient.pack({ type: 'fetch', keys: [stored!.block.key] });
  const frame = Buffer.from(packFrame(code, 1, header, 0));
  const progressTimeoutMs = 1_000;

  it('byte by byte is cut off, though it is never silent', async () => {
    const clock = new SimulatedClock();
    await open({ clock, progressTimeoutMs });
    const peer = await provedClient(pair.addresses.unixPath!);
    const closed = peer.closed.then(() => true);
    let sent = 0;
    while (sent < frame.byteLength && pair.server.connections > 0) {
      peer.socket.write(frame.subarray(sent, ++sent));
      await new Promise((resolve) => peer.socket.write('', resolve));
      await clock.advance(progressTimeoutMs / 2);
    }
    expect(await closed).toBe(true);
    expect(sent).toBeLessThan(frame.byteLength);
  });

  it('slowly, but at the least rate, is heard to the end', async () => {
    const clock = new SimulatedClock();
    const payload = new Uint8Array(4 * LEAST_BYTES_PER_MS * progressTimeoutMs);
    const ends: string[] = [];
    const owner: ConnectionOwner = {
      admit: () => {},
      begin: () => new Uint8Array(payload.byteLength),
      wants: () => true,
      end: () => ends.push('frame'),
      awaits: () => false,
      closed: ({ message }) => ends.push(message),
    };
    const socket = Object.assign(new net.Socket(), { setTimeout: () => socket });
    const connection = new Connection({ open: () => socket, clock, progressTimeoutMs }, owner);
    const bytes = Buffer.concat([packFrame(code, 1, header, payload.byteLength), payload]);
    for (let at = 0; at < bytes.byteLength; ) {
      const target = connection.target();
      const part = bytes.subarray(at, at + Math.min(target.byteLength, (LEAST_BYTES_PER_MS * progressTimeoutMs) / 2));
      target.set(part);
      connection.advance(part.byteLength);
      at += part.byteLength;
      await clock.advance(progressTimeoutMs / 2);
    }
    expect(ends).toEqual(['frame']);
    socket.destroy();
  });
});
