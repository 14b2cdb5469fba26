import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../src/clock.js';
import { digestOf } from '../../../src/digest.js';
import { Overloaded, Refused, Unavailable } from '../../../src/errors.js';
import { EXTENT_BYTES } from '../../../src/objects/extent-pool.js';
import { wholeValue } from '../../../src/objects/object-body.js';
import { objectName } from '../../../src/objects/object-name.js';
import { WHOLE, type WriteOptions } from '../../../src/objects/object-node.js';
import type { ObjectRing } from '../../../src/objects/object-ring.js';
import { ObjectValue } from '../../../src/objects/object-value.js';
import { ObjectLinks } from '../../../src/peer/objects/object-links.js';
import { objectsFromClient } from '../../../src/peer/objects/object-messages.js';
import { ObjectSession } from '../../../src/peer/objects/object-session.js';
import { PeerServer } from '../../../src/peer/server/peer-server.js';
import { SeededRandom, SystemRandom } from '../../../src/random.js';
import { encode } from '../../../src/wire/msgpack.js';
import { WorkerObjects } from '../../../workers/objects/worker-objects.js';
import { BLOCK_BYTES, MemoryHost } from './support/host.js';
import { ALICE, BOB, SECRET } from './support/pair.js';
import { provedClient } from './support/raw-peer.js';
import { until } from './support/until.js';

const NEVER = new AbortController().signal;
const BUDGET = 24 * EXTENT_BYTES;
const OBJECT_BYTES = 16 * EXTENT_BYTES;
const ALWAYS: WriteOptions = {
  contentType: null,
  fields: {},
  expiry: { kind: 'never' },
  condition: { kind: 'always' },
  token: 't',
};

const ALONE: ObjectRing = {
  epoch: 'e',
  homes: () => ['bob'],
  heirs: () => ['bob'],
  standing: () => 'live',
  workers: () => ['bob'],
  snapshot: () => () => ['bob'],
};

describe('objects between peers', () => {
  let folder: string;
  let server: PeerServer;
  let objects: WorkerObjects;
  let links: ObjectLinks;
  let path: string;
  let member = true;

  beforeEach(async () => {
    member = true;
    folder = await mkdtemp(join(tmpdir(), 'shoal-objects-'));
    path = join(folder, 'bob.sock');
    const clock = new SystemClock();
    objects = new WorkerObjects({
      self: BOB,
      budgetBytes: BUDGET,
      ring: ALONE,
      clock,
      wallMs: () => Date.now(),
      peerOf: () => null,
      events: { gone: () => {}, moved: () => {}, full: () => {} },
    });
    objects.start();
    server = new PeerServer({
      identity: BOB,
      secret: SECRET,
      blockBytes: BLOCK_BYTES,
      roleOf: () => 'stranger',
      host: new MemoryHost(),
      onObjects: (connection) =>
        new ObjectSession(connection, { host: objects.home, isMember: () => member, objectBytes: OBJECT_BYTES }),
    });
    const addresses = await server.listen({ unixPath: path, tcpHost: '127.0.0.1' });
    links = new ObjectLinks({
      identity: ALICE,
      hostId: 'here',
      secret: SECRET,
      clock,
      random: new SystemRandom(),
      workerOf: () => ({ incarnation: BOB.incarnation, address: { hostId: 'here', ...addresses } }),
    });
  });

  afterEach(async () => {
    links.close();
    await server.close();
    objects.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const bob = () => links.peer('bob')!;
  const named = (key: string) => objectName('a', Buffer.from(key));

  async function put(key: string, bytes: Uint8Array, options: Partial<WriteOptions> = {}) {
    const value = ObjectValue.of(bytes);
    try {
      return await bob().write(named(key), value, { ...ALWAYS, token: key, ...options }, NEVER);
    } finally {
      value.release();
    }
  }

  async function get(key: string, options = WHOLE): Promise<Buffer | null> {
    const read = await bob().read(named(key), options, NEVER);
    if (read.type !== 'found') return null;
    const parts: Buffer[] = [];
    for (let piece = await read.body.next(); piece !== null; piece = await read.body.next()) {
      parts.push(Buffer.from(piece.bytes));
      piece.release();
    }
    read.body.close();
    return Buffer.concat(parts);
  }

  it('carries values of all sizes, whole and in ranges', async () => {
    const random = new SeededRandom(1);
    for (const bytes of [0, 1, EXTENT_BYTES - 1, EXTENT_BYTES, EXTENT_BYTES + 1, 5 * EXTENT_BYTES + 7]) {
      const sent = Buffer.alloc(bytes, random.bytes(1021));
      expect(await put(`k${bytes}`, sent)).toMatchObject({ type: 'written', info: { bytes } });
      expect((await get(`k${bytes}`))?.equals(sent)).toBe(true);
      const [from, end] = [Math.floor(bytes / 3), bytes - Math.floor(bytes / 5)];
      expect((await get(`k${bytes}`, { ...WHOLE, from, end }))?.equals(sent.subarray(from, end))).toBe(true);
    }
    expect(await get('none')).toBeNull();
  });

  it('asks where two homes differ', async () => {
    const digests = Buffer.alloc(8 * 512);
    digests[8 * 3] = 1;
    const asked = { epoch: 'e', part: 0, parts: 1, digests };
    const { budgetBytes, bytes } = objects.store;
    expect(await bob().differing('alice', asked, NEVER)).toEqual({ buckets: [3], freeBytes: budgetBytes - bytes });
    expect(await bob().differing('alice', { ...asked, epoch: 'other' }, NEVER)).toBeNull();
    member = false;
    await expect(bob().differing('alice', asked, NEVER)).rejects.toThrow(Refused);
  });

  it('carries many at once over one connection', async () => {
    const sent = Array.from({ length: 100 }, (_, i) => Buffer.alloc((i % 10) * 50_000, i));
    await Promise.all(sent.map((bytes, i) => put(`k${i}`, bytes)));
    const read = await Promise.all(sent.map((_, i) => get(`k${i}`)));
    expect(read.every((bytes, i) => bytes?.equals(sent[i]!))).toBe(true);
    expect(server.connections).toBe(1);
  });

  it('looks up, lists, counts, retimes, deletes and flushes', async () => {
    for (let i = 0; i < 100; i++) await put(`k${i}`, Buffer.from([i]));
    const names = Array.from({ length: 101 }, (_, i) => named(`k${i}`));
    const infos = await bob().look(names, NEVER);
    expect(infos.map((info) => info?.bytes ?? null)).toEqual([...Array.from({ length: 100 }, () => 1), null]);
    expect(await bob().count('a', NEVER)).toBe(100);
    expect((await bob().list('a', 0, 30, NEVER)).keys.length).toBe(30);
    const atMs = Date.now() + 60_000;
    const always = ALWAYS.condition;
    await bob().retime(named('k1'), { kind: 'at', atMs }, always, NEVER);
    expect((await bob().look([named('k1')], NEVER))[0]?.expiresAtMs).toBe(atMs);
    expect(await bob().remove(named('k1'), { condition: always }, NEVER)).toMatchObject({ type: 'written' });
    expect(await bob().remove(named('k1'), { condition: always }, NEVER)).toMatchObject({ type: 'unmet', info: null });
    await bob().flush('a', NEVER);
    expect(await bob().count('a', NEVER)).toBe(0);
  });

  it('lists the longest keys, which do not fit one message together', async () => {
    const sent = Array.from({ length: 200 }, (_, i) => String(i).padEnd(1024, 'k'));
    for (const [i, key] of sent.entries()) await put(key, Buffer.of(1), { token: String(i) });
    const listed: string[] = [];
    for (let at: number | null = 0; at !== null; ) {
      const page: Awaited<ReturnType<ReturnType<typeof bob>['list']>> = await bob().list('a', at, 256, NEVER);
      listed.push(...page.keys.map(String));
      at = page.next;
    }
    expect(listed.sort()).toEqual(sent.sort());
  });

  it('tells what a worker keeps, and how much it has evicted', async () => {
    const value = Buffer.alloc(10 * EXTENT_BYTES);
    for (const key of ['a', 'b', 'c']) await put(key, value);
    const { budgetBytes, bytes } = objects.store;
    expect(await bob().use(NEVER)).toEqual({ objects: 2, bytes, budgetBytes, evicted: 1 });
    expect(bytes).toBeGreaterThan(2 * value.byteLength);
  });

  it('refuses a value that is too large, or has no room, without having its bytes', async () => {
    await expect(put('big', Buffer.alloc(OBJECT_BYTES + 1))).rejects.toThrow(Overloaded);
    const held = await Promise.all([1, 2].map((i) => put(`k${i}`, Buffer.alloc(10 * EXTENT_BYTES, i))));
    expect(held.every(({ type }) => type === 'written')).toBe(true);
    const reads = await Promise.all([1, 2].map((i) => bob().read(named(`k${i}`), WHOLE, NEVER)));
    // What is being read is not evicted.
    await expect(put('k3', Buffer.alloc(10 * EXTENT_BYTES))).rejects.toThrow(Overloaded);
    for (const read of reads) {
      if (read.type !== 'found') throw new Error('the value is gone');
      const value = await wholeValue(read);
      value.release();
    }
    await until(() => objects.store.bytes < BUDGET);
    await expect(put('k3', Buffer.alloc(10 * EXTENT_BYTES))).resolves.toMatchObject({ type: 'written' });
  });

  it('lets a reader stop in the middle, and go on with other requests', async () => {
    await put('k', Buffer.alloc(12 * EXTENT_BYTES, 7));
    const read = await bob().read(named('k'), WHOLE, NEVER);
    if (read.type !== 'found') throw new Error('the value is gone');
    (await read.body.next())!.release();
    read.body.close();
    expect((await get('k'))?.byteLength).toBe(12 * EXTENT_BYTES);
    await until(() => objects.store.get(named('k').hash)!.value.unread);
  });

  it('makes copies for members only', async () => {
    const value = ObjectValue.of(Buffer.from('x'));
    const info = {
      ...ALWAYS,
      token: 't',
      version: { at: 1, writer: 'w' },
      bytes: 1,
      digest: value.digest,
      expiresAtMs: null,
    };
    const { expiry: _, condition: __, ...meta } = info;
    const copy = { type: 'value', name: named('k'), info: meta, value } as const;
    expect(await bob().take(copy, NEVER)).toEqual({ type: 'stored' });
    expect(await bob().take(copy, NEVER)).toEqual({ type: 'stored' });
    member = false;
    await expect(bob().take(copy, NEVER)).rejects.toThrow(Refused);
    await expect(bob().versions([named('k')], NEVER)).rejects.toThrow(Refused);
    expect(await get('k')).toEqual(Buffer.from('x'));
    value.release();
  });

  it('ends requests when the server goes', async () => {
    await put('k', Buffer.alloc(12 * EXTENT_BYTES));
    const read = await bob().read(named('k'), WHOLE, NEVER);
    if (read.type !== 'found') throw new Error('the value is gone');
    await server.close();
    await expect(
      (async () => {
        for (let piece = await read.body.next(); piece !== null; piece = await read.body.next()) piece.release();
      })(),
    ).rejects.toThrow(Unavailable);
    read.body.close();
  });

  describe('from a peer that breaks the rules', () => {
    const code = (type: 'write' | 'part' | 'read') => ({ write: 83, part: 85, read: 80 })[type];
    const write = (bytes: number) =>
      objectsFromClient.pack({ type: 'write', space: 'a', key: Buffer.from('k'), bytes, ...ALWAYS }).header;
    const part = (bytes: Uint8Array) => objectsFromClient.pack({ type: 'part', digest: digestOf(bytes) }).header;

    const expectClosed = async (
      act: (send: (c: number, r: number, h: Uint8Array, p?: Uint8Array, says?: number) => void) => void,
    ) => {
      const peer = await provedClient(path, ALICE, SECRET, 'objects');
      act((c, r, h, p = new Uint8Array(0), says = p.byteLength) => peer.sendFrame(c, r, h, says, p));
      await peer.closed;
      expect(objects.store.objects).toBe(0);
      expect(objects.store.bytes).toBe(0);
    };

    it('closes the connection, and keeps no memory', async () => {
      const bytes = new Uint8Array(10);
      const parts: Parameters<typeof expectClosed>[0][] = [
        // A part without an object, a part of the wrong length, one that is longer than an extent, and one with a wrong digest.
        (send) => send(code('part'), 1, part(bytes), bytes),
        (send) => {
          send(code('write'), 1, write(20));
          send(code('part'), 1, part(bytes), bytes);
        },
        (send) => {
          send(code('write'), 1, write(2 * EXTENT_BYTES));
          send(code('part'), 1, part(bytes), new Uint8Array(0), EXTENT_BYTES + 1);
        },
        (send) => {
          send(code('write'), 1, write(10));
          send(code('part'), 1, part(new Uint8Array(9)), bytes);
        },
        // A number that is in flight, and request 0.
        (send) => {
          send(code('write'), 1, write(20));
          send(code('write'), 1, write(20));
        },
        (send) => send(code('write'), 0, write(20)),
        // Headers with fields that do not belong, and of the wrong type.
        (send) =>
          send(
            code('read'),
            1,
            encode({ space: 'a', key: new Uint8Array(2000), from: 0, end: null, have: null, only: null }),
          ),
        (send) => send(code('read'), 1, encode({ space: 'a', key: 'k', from: 0, end: null, have: null, only: null })),
        (send) =>
          send(
            code('read'),
            1,
            encode({ space: 'a', key: new Uint8Array(1), from: -1, end: null, have: null, only: null }),
          ),
        (send) => send(code('read'), 1, encode({})),
        (send) => send(86, 1, encode({ question: { op: 'drop', space: 'a' } })),
        (send) => send(200, 1, new Uint8Array(0)),
      ];
      for (const act of parts) await expectClosed(act);
      await put('k', Buffer.from('served'));
      expect(await get('k')).toEqual(Buffer.from('served'));
    });

    it('keeps no memory of an object whose sender goes in the middle', async () => {
      const peer = await provedClient(path, ALICE, SECRET, 'objects');
      const bytes = new Uint8Array(EXTENT_BYTES);
      peer.sendFrame(code('write'), 1, write(3 * EXTENT_BYTES), 0);
      peer.sendFrame(code('part'), 1, part(bytes), bytes.byteLength, bytes);
      await until(() => objects.store.bytes > 3 * EXTENT_BYTES);
      peer.socket.destroy();
      await until(() => objects.store.bytes === 0);
    });
  });
});
