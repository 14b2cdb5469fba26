import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { plainNats } from '../../../bench/fleet/plain-nats.js';
import { synthesize } from '../../../bench/synth/model-folder.js';
import { SYNTH_PRESETS } from '../../../bench/synth/spec.js';
import { type EmbeddedServer, startNatsServer } from '../../../cli/nats/embedded-server.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import type { NatsBus } from '../../../src/bus/nats-bus.js';
import { connectNats } from '../../../src/bus/nats-connect.js';
import { NatsKeyValue } from '../../../src/bus/nats-key-value.js';
import { SystemClock } from '../../../src/clock.js';
import { Refused, Unavailable } from '../../../src/errors.js';
import { fleetBucket } from '../../../src/fleet/buckets.js';
import { joinFleet } from '../../../src/fleet/joining.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';
import { BLOCK_TOKENS } from '../../../src/limits.js';
import { createLog } from '../../../src/log.js';
import { modelFingerprint } from '../../../src/model/fingerprint.js';
import { openModelFolder } from '../../../src/model/folder.js';
import { graphSignature } from '../../../src/model/graph-signature.js';
import { keyValueContract } from '../../contract/key-value-suite.js';
import { CLI, Fleet } from '../support/fleet.js';
import { HEADERS, publishWithHeaders } from '../support/publish-with-headers.js';

let path: string;
let dir: string;
let server: EmbeddedServer;
let buses: readonly NatsBus[];
let buckets = 0;

beforeAll(async () => {
  path = (await findNatsServer()).path;
  dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
  server = await startNatsServer({ path, dir });
  const { url, user, password } = server;
  buses = await Promise.all(Array.from({ length: 8 }, () => connectNats({ url, user, password })));
});

afterAll(async () => {
  await Promise.all(buses.map((bus) => bus.close()));
  await server.stop();
  await rm(dir, { recursive: true, force: true });
});

keyValueContract('NatsKeyValue', async () => {
  const bucket = `bucket-${++buckets}`;
  const views = await Promise.all([NatsKeyValue.open(buses[0]!, bucket), NatsKeyValue.open(buses[1]!, bucket)]);
  const lose = async () => void (await buses[2]!.connection.request(`$JS.API.STREAM.DELETE.KV_${bucket}`));
  return { views, lose };
});

test('a bucket outlives its server', async () => {
  const args = ['-js', '-sd', join(dir, 'store')];
  for (const expected of [null, [7]]) {
    const own = await plainNats(path, args);
    const bus = await connectNats({ url: own.url });
    const kv = await NatsKeyValue.open(bus, 'lasting');
    const found = await kv.get('x');
    expect(found && [...found.value]).toEqual(expected);
    await kv.create('x', Uint8Array.of(7));
    await bus.close();
    await own.stop();
  }
});

test.each(['unreadable', 'many', 'odd'] as const)(
  'a value with %s headers is there, and can be replaced',
  async (kind) => {
    const kv = await NatsKeyValue.open(buses[0]!, kind, { maxBytes: 2 ** 22 });
    const { url, user, password } = server;
    await publishWithHeaders({ url, user, password }, HEADERS[kind], [`$KV.${kind}.x`], 'old');
    expect(await kv.create('x', Uint8Array.of(7))).toBe(false);
    const found = await kv.get('x');
    expect(Buffer.from(found!.value).toString()).toBe('old');
    expect(await kv.update('x', Uint8Array.of(7), found!.revision)).toBe(true);
    expect(await kv.get('x')).toMatchObject({ value: Uint8Array.of(7) });
  },
);

test('a bucket is created once a conflicting stream is gone, and fails if the stream stays', async () => {
  const bus = buses[0]!;
  const ask = (question: string, body: object) =>
    bus.connection.request(`$JS.API.STREAM.${question}`, JSON.stringify(body));
  await ask('CREATE.other', { name: 'other', subjects: ['$KV.wanted.>'] });
  await expect(NatsKeyValue.open(bus, 'wanted')).rejects.toThrow(/subjects overlap/);
  const seen = buses[1]!.subscribe('$JS.API.STREAM.CREATE.KV_wanted', () => void ask('DELETE.other', {}));
  await buses[1]!.flush();
  const kv = await NatsKeyValue.open(bus, 'wanted');
  seen.unsubscribe();
  expect(await kv.create('x', Uint8Array.of(7))).toBe(true);
});

/** Joins, and returns the log. */
async function joining(bus: NatsBus, namespace: string, fingerprint: string): Promise<string> {
  const lines: string[] = [];
  const log = createLog({ level: 'info', write: (line) => lines.push(line) });
  const config = { namespace, replicas: 2 };
  const transport = { bus, openKeyValue: (bucket: string) => NatsKeyValue.open(bus, bucket) };
  const onOutlawed = (why: string) => expect.unreachable(why);
  await joinFleet({ transport, clock: new SystemClock(), log, config, fingerprint, model: 'm', onOutlawed });
  return lines.join('');
}

describe('joining a fleet', () => {
  const [ours, theirs] = ['a'.repeat(64), 'b'.repeat(64)] as const;

  test('eight processes found it concurrently, and a process with another model is refused', async () => {
    const logs = await Promise.all(buses.map((bus) => joining(bus, 'race', ours)));
    expect(logs.filter((log) => log.includes('founded the fleet'))).toHaveLength(1);
    expect(logs.filter((log) => log.includes('joined the fleet'))).toHaveLength(7);

    const { hello, announce } = fleetSubjects('race');
    const member = buses[1]!.subscribe(hello, () => buses[1]!.publish(announce, new Uint8Array()));
    await buses[1]!.flush();
    await expect(joining(buses[0]!, 'race', theirs)).rejects.toThrow(Refused);
    member.unsubscribe();
  });

  test('eight processes of a new fleet replace the charter of an ended fleet, once', async () => {
    await joining(buses[0]!, 'anew', theirs);
    const logs = await Promise.all(buses.map((bus) => joining(bus, 'anew', ours)));
    expect(logs.filter((log) => log.includes('replaced the charter'))).toHaveLength(1);
    expect(logs.filter((log) => log.includes('joined the fleet'))).toHaveLength(7);
  });

  test('continues with a warning without JetStream, and fails in time if JetStream does not answer', async () => {
    const plain = await plainNats(path);
    const bus = await connectNats({ url: plain.url });
    expect(await joining(bus, 'plain', ours)).toMatch(/"level":"warn".*jetstream is not enabled.*JetStream is on/i);
    bus.subscribe('$JS.API.>', () => undefined);
    await expect(NatsKeyValue.open(bus, 'silent', { timeoutMs: 50 })).rejects.toThrow(Unavailable);
    await bus.close();
    await plain.stop();
  });
});

async function fingerprintOf(modelDir: string): Promise<string> {
  const folder = await openModelFolder(modelDir);
  return modelFingerprint(folder, graphSignature(folder.graph, folder.config, BLOCK_TOKENS).layout);
}

test('a worker with another model exits at start while the fleet lives, and can found the next fleet, which no stored charter of the first one ends', async () => {
  const models = { one: join(dir, 'one'), two: join(dir, 'two') };
  await synthesize(SYNTH_PRESETS.tiny, models.one);
  await synthesize({ ...SYNTH_PRESETS.tiny, seed: 2 }, models.two);
  const access = {
    SHOAL_NATS: server.url,
    SHOAL_NATS_USER: server.user,
    SHOAL_NATS_PASSWORD: server.password,
    SHOAL_SECRET: 'a secret of the cluster',
  };
  const up = (model: string) => Fleet.up(['--workers', '1', '--model', model], access);
  const first = await up(models.one);
  try {
    const stranger = spawn(process.execPath, [CLI, 'worker', '--model', models.two, '--metrics-port', 'off'], {
      env: { ...process.env, ...access },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    stranger.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    expect(await once(stranger, 'close')).toEqual([1, null]);
    const [there, here] = [await fingerprintOf(models.one), await fingerprintOf(models.two)];
    expect(said).toContain(`fingerprint is ${there} there, ${here} here; the model is one there, two here`);
    expect((await first.workers()).map(({ state }) => state)).toEqual(['serving']);
  } finally {
    await first.stop();
  }
  // Somebody with NATS' password but without the secret has kept the value of the bucket, and empties it.
  const bucket = () => NatsKeyValue.open(buses[0]!, fleetBucket('shoal').name);
  const earlier = (await (await bucket()).get('charter'))!.value;
  await buses[0]!.connection.request(`$JS.API.STREAM.DELETE.KV_${fleetBucket('shoal').name}`);
  const second = await up(models.two);
  try {
    expect((await second.workers()).map(({ state }) => state)).toEqual(['serving']);
    const kv = await bucket();
    await kv.update('charter', earlier, (await kv.get('charter'))!.revision);
    await buses[0]!.flush();
    // The fleet asks who lives under the old charter, gets no answer, and puts its own in its place.
    while (Buffer.compare((await kv.get('charter'))!.value, earlier) === 0) await new Promise(setImmediate);
    expect((await second.workers()).map(({ state, pid }) => [state, pid])).toEqual([
      ['serving', second.ready.workers[0]!.pid],
    ]);
  } finally {
    expect(await second.stop()).toBe(0);
  }
});
