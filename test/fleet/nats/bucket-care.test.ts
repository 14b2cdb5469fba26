import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiscardPolicy, jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type EmbeddedServer, startNatsServer } from '../../../cli/nats/embedded-server.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import type { NatsBus } from '../../../src/bus/nats-bus.js';
import { natsTransport } from '../../../src/bus/nats-transport.js';
import { sealTransport } from '../../../src/bus/sealed-transport.js';
import type { Transport } from '../../../src/bus/transport.js';
import { SystemClock } from '../../../src/clock.js';
import { Unavailable } from '../../../src/errors.js';
import { BucketCare } from '../../../src/fleet/bucket-care.js';
import { type FleetBucket, openBucket } from '../../../src/fleet/buckets.js';
import { PROBE_KEY } from '../../../src/fleet/store-check.js';
import { createLog, SILENT_LOG } from '../../../src/log.js';
import { SystemRandom } from '../../../src/random.js';

const clock = new SystemClock();
const KIB = 1024;

let dir: string;
let server: EmbeddedServer;
let plain: Transport;
let member: Transport;
let count = 0;
let bucket: FleetBucket;
let logged: string[];
let care: BucketCare;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-care-'));
  server = await startNatsServer({ path: (await findNatsServer()).path, dir });
  const { url, user, password } = server;
  const options = { url, user, password, name: 'test' };
  plain = await natsTransport({ ...options, signal: new AbortController().signal, onWaiting: () => {} });
  const self = { id: 'member', incarnation: '0'.repeat(32) };
  const secret = 'a secret of sixteen characters';
  member = sealTransport(plain, { clock, random: new SystemRandom(), secret, self, namespace: 'shoal' });
});

afterAll(async () => {
  await plain?.bus.close();
  await server?.stop();
  await rm(dir, { recursive: true, force: true });
});

beforeEach(() => {
  bucket = { name: `shoal-care-${count++}`, maxBytes: 64 * KIB, maxValues: 1_000 };
  logged = [];
  care = new BucketCare(member, [bucket], createLog({ level: 'warn', write: (line) => logged.push(line) }));
});

/** Writes values until the bucket takes no more. Resolves with their number. */
async function fill(bytes: number, key: (i: number) => string): Promise<number> {
  const kv = await openBucket(plain, bucket);
  for (let i = 0; ; i++) {
    try {
      await kv.create(key(i), new Uint8Array(bytes).fill(7));
    } catch (error) {
      expect(error).toBeInstanceOf(Unavailable);
      return i;
    }
  }
}

describe('the care of buckets', () => {
  it('creates a missing bucket', async () => {
    await care.check(true);
    expect(await (await openBucket(member, bucket)).get('charter')).toBeNull();
  });

  it.each([
    ['a few large values', 15 * KIB],
    ['many small values', 20],
  ])('frees a bucket of %s that no member has sealed, and keeps those of members', async (_, bytes) => {
    const kv = await openBucket(member, bucket);
    await kv.create('charter', Uint8Array.of(1, 2, 3));
    await kv.create('empty', new Uint8Array(0));
    const filled = await fill(bytes, (i) => `filler-${i}`);
    const refused = kv.create('pin', new Uint8Array(8 * KIB));
    await expect(refused).rejects.toThrow(/the bucket shoal-care-\d+ is full \(maximum bytes exceeded\)/);
    expect(member.storeFault!()?.why).toContain('is full');
    for (let room = false; !room; room = await kv.create('pin', new Uint8Array(8 * KIB)).catch(() => false))
      await care.check(true);
    expect(logged.join()).toMatch(new RegExp(`"bucket":"${bucket.name}","erased":`));
    expect(filled).toBeGreaterThan(3);
    expect([...(await kv.get('charter'))!.value]).toEqual([1, 2, 3]);
    expect((await kv.get('empty'))!.value).toHaveLength(0);
    expect((await kv.get('pin'))!.value).toHaveLength(8 * KIB);
    expect(member.storeFault!()).toBeNull();
  });

  it('frees a bucket of the traces of removed values', async () => {
    const kv = await openBucket(member, bucket);
    const other = await openBucket(plain, bucket);
    for (let i = 0; i < 2_000; i++) {
      if (
        !(await other.delete(`filler-${i}`).then(
          () => true,
          () => false,
        ))
      )
        break;
    }
    await expect(kv.create('charter', new Uint8Array(KIB))).rejects.toThrow('is full');
    await care.check(true);
    expect(await kv.create('charter', new Uint8Array(KIB))).toBe(true);
  });

  it('leaves a bucket with room alone, and one that members filled', async () => {
    const kv = await openBucket(member, bucket);
    await (await openBucket(plain, bucket)).create('filler', new Uint8Array(30 * KIB));
    await care.check(true);
    expect(await kv.get('filler')).not.toBeNull();
    await kv.create('mine', new Uint8Array(30 * KIB));
    await care.check(true);
    expect(await kv.get('filler')).toBeNull();
    await kv.create('more', new Uint8Array(30 * KIB));
    await care.check(true);
    await care.check(true);
    expect((await kv.get('mine'))!.value).toHaveLength(30 * KIB);
    expect(logged).toHaveLength(1);
  });

  it('erases nothing for a process that may have another secret', async () => {
    const kv = await openBucket(member, bucket);
    for (let i = 0; i < 4; i++) await kv.create(`mine-${i}`, new Uint8Array(14 * KIB));
    const self = { id: 'other', incarnation: '1'.repeat(32) };
    const secret = 'another secret of many characters';
    const other = sealTransport(plain, { clock, random: new SystemRandom(), secret, self, namespace: 'shoal' });
    const theirs = new BucketCare(other, [bucket], SILENT_LOG);
    await theirs.create();
    await theirs.check(false);
    for (let i = 0; i < 4; i++) expect((await kv.get(`mine-${i}`))!.value).toHaveLength(14 * KIB);
  });

  it('makes room without a proof in a bucket that the process created itself', async () => {
    await care.create();
    const kv = await openBucket(member, bucket);
    const filled = await fill(15 * KIB, (i) => `filler-${i}`);
    await care.check(false);
    expect(logged.join()).toContain(`"erased":${filled}`);
    expect(await kv.create('pin', new Uint8Array(8 * KIB))).toBe(true);
  });

  it('makes room while other coordinators do, and while values change', async () => {
    await openBucket(member, bucket);
    await fill(20, (i) => `filler-${i}`);
    const others = [0, 1, 2].map(() => new BucketCare(member, [bucket], SILENT_LOG));
    const rewriting = (async () => {
      const kv = await openBucket(plain, bucket);
      for (let i = 0; i < 100; i++) await kv.delete(`filler-${i}`).catch(() => {});
    })();
    await Promise.all([rewriting, care.check(true), ...others.map((each) => each.check(true))]);
    await care.check(true);
    const { streams } = await jetstreamManager((plain.bus as NatsBus).connection);
    expect((await streams.info(`KV_${bucket.name}`)).state.messages).toBeLessThan(800);
  });

  it('says that a bucket is full or has other settings, until it is not any more', async () => {
    const kv = await openBucket(member, bucket);
    await care.check(true);
    expect(member.storeFault!()).toBeNull();
    const { streams } = await jetstreamManager((plain.bus as NatsBus).connection);
    const stream = `KV_${bucket.name}`;
    const own = {
      max_msg_size: -1,
      discard: DiscardPolicy.New,
      max_msgs: bucket.maxValues,
      subjects: [`$KV.${bucket.name}.>`],
    };
    const changes: [Partial<StreamConfig>, string][] = [
      [{ max_msg_size: 100 }, 'its values may have 100 bytes'],
      [{ discard: DiscardPolicy.Old }, 'new values drop old ones'],
      [{ max_msgs: 40 }, 'it may have 40 values of 1000'],
      [{ subjects: ['elsewhere.>'] }, 'it stores elsewhere.>'],
    ];
    for (const [change, why] of changes) {
      await streams.update(stream, change);
      for (let i = 0; i < 2; i++) {
        // Small values still fit in some.
        await kv.delete(PROBE_KEY).catch(() => {});
        await care.check(true);
        expect(member.storeFault!()?.why).toBe(
          `the bucket ${bucket.name} has other settings than shoal gave it (${why}): delete it with the nats tool (nats kv del ${bucket.name}), and the fleet creates it again; change the passwords of NATS if others know them`,
        );
      }
      await streams.update(stream, own);
      await kv.delete(PROBE_KEY);
      await care.check(true);
      expect(member.storeFault!()).toBeNull();
    }
    for (let i = 0; i < 1_000; i++) await kv.create(`mine-${i}`, Uint8Array.of(1)).catch(() => {});
    await care.check(true);
    expect(member.storeFault!()?.why).toContain(`the bucket ${bucket.name} is full`);
  });

  it('is needed by no bucket for one message that empties it', async () => {
    const kv = await openBucket(member, bucket);
    await kv.create('mine', Uint8Array.of(1));
    const { connection } = plain.bus as NatsBus;
    await connection.request(`$JS.API.STREAM.PURGE.KV_${bucket.name}`);
    const header = headers();
    header.set('Nats-Rollup', 'all');
    await connection.request(`$KV.${bucket.name}.x`, Uint8Array.of(1), { headers: header, timeout: 5_000 });
    expect(await kv.get('mine')).not.toBeNull();
  });

  it('replaces a large foreign value of a key that members use', async () => {
    await fill(30 * KIB, (i) => (i === 0 ? 'charter' : `filler-${i}`));
    const kv = await openBucket(member, bucket);
    const found = (await kv.get('charter'))!;
    expect(found.value).toHaveLength(0);
    expect(await kv.update('charter', Uint8Array.of(1), found.revision)).toBe(true);
  });
});
