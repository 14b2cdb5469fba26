import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainNats } from '../../../bench/fleet/plain-nats.js';
import { type EmbeddedServer, startNatsServer } from '../../../cli/nats/embedded-server.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import { fleetUsers } from '../../../cli/nats/users.js';
import type { NatsBus } from '../../../src/bus/nats-bus.js';
import { connectNats } from '../../../src/bus/nats-connect.js';
import { NatsKeyValue } from '../../../src/bus/nats-key-value.js';
import { natsTransport } from '../../../src/bus/nats-transport.js';
import { sealTransport } from '../../../src/bus/sealed-transport.js';
import { SystemClock } from '../../../src/clock.js';
import { Refused, Unsupported } from '../../../src/errors.js';
import {
  actorBucket,
  fleetBucket,
  fleetBuckets,
  generationBucket,
  openBucket,
  retentionBucket,
} from '../../../src/fleet/buckets.js';
import { CHARTER_FORMAT_VERSION, CHARTER_KEY } from '../../../src/fleet/charter.js';
import { NATS_ROLES, type NatsRole, natsInbox, natsRights } from '../../../src/fleet/nats-rights.js';
import { PROBE_KEY } from '../../../src/fleet/store-check.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';
import { SystemRandom } from '../../../src/random.js';
import { connect } from '../../../src/runtime/connect.js';
import { encode } from '../../../src/wire/msgpack.js';
import { ran } from '../../deploy/support/programs.js';
import { CLI, Fleet } from '../support/fleet.js';
import { JoinedWorker } from '../support/joined-worker.js';

const NAMESPACE = 'shoal';
const SECRET = 'a secret of at least sixteen characters';
const users = fleetUsers(NAMESPACE);
const NODE = `${NAMESPACE}.node.worker-1.0001`;

let dir: string;
let server: EmbeddedServer;

/** A connection with the credentials of a role, and the refusals that it got. */
async function connected(role: NatsRole): Promise<{ bus: NatsBus; refused: string[] }> {
  const refused: string[] = [];
  const { user, password } = users[role];
  const inbox = natsInbox(NAMESPACE, role);
  const onRefused = ({ message }: Error) => void refused.push(message);
  return { bus: await connectNats({ url: server.url, user, password, inbox, onRefused }), refused };
}

const other = (role: NatsRole): NatsRole => (role === 'worker' ? 'coordinator' : 'worker');
const HIDDEN: Readonly<Record<NatsRole, readonly string[]>> = {
  worker: [`${NAMESPACE}.suspicion`, `${NAMESPACE}.usage`, `${NAMESPACE}.holdings.*`],
  coordinator: [],
  node: [`${NAMESPACE}.suspicion`, `${NAMESPACE}.announce`, `${NAMESPACE}.holdings.*`],
};
const UNSAYABLE: Readonly<Record<NatsRole, readonly string[]>> = {
  worker: [`${NAMESPACE}.coordinator`, `${NAMESPACE}.suspicion`, `${NAMESPACE}.usage`],
  coordinator: [`${NAMESPACE}.announce`, `${NAMESPACE}.leave`, `${NAMESPACE}.holdings.worker-1`],
  node: [`${NAMESPACE}.announce`, `${NAMESPACE}.coordinator`, `${NAMESPACE}.holdings.worker-1`],
};
const [FLEET, GENERATIONS, RETENTIONS, ACTORS] = [fleetBucket, generationBucket, retentionBucket, actorBucket].map(
  (bucket) => bucket(NAMESPACE).name,
) as [string, string, string, string];
/** Keys that each role may write, and some that it may not. */
const WRITTEN: Readonly<Record<NatsRole, readonly (readonly [bucket: string, key: string])[]>> = {
  worker: [
    [FLEET, CHARTER_KEY],
    [GENERATIONS, 'worker-1'],
    [ACTORS, 'names.counter'],
  ],
  coordinator: [
    [FLEET, CHARTER_KEY],
    [FLEET, 'adapters'],
    [RETENTIONS, 'list'],
    [GENERATIONS, PROBE_KEY],
    [ACTORS, PROBE_KEY],
  ],
  node: [[ACTORS, 'names.counter']],
};
const CLOSED: Readonly<Record<NatsRole, readonly (readonly [bucket: string, key: string])[]>> = {
  worker: [
    [FLEET, 'adapters'],
    [FLEET, 'filler'],
    [RETENTIONS, 'list'],
  ],
  coordinator: [
    [GENERATIONS, 'worker-1'],
    [ACTORS, 'names.counter'],
  ],
  node: [
    [FLEET, CHARTER_KEY],
    [GENERATIONS, 'worker-1'],
    [RETENTIONS, 'list'],
  ],
};

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-rights-'));
  server = await startNatsServer({ path: (await findNatsServer()).path, dir, users: Object.values(users) });
});

afterAll(async () => {
  await server?.stop();
  await rm(dir, { recursive: true, force: true });
});

describe.each(NATS_ROLES)('the user of a %s on NATS', (role) => {
  it('hears only what the role needs', async () => {
    const { bus, refused } = await connected(role);
    const patterns = ['>', `${NAMESPACE}.>`, `${NAMESPACE}.node.>`, '_INBOX.>', '$JS.>', '$KV.>', '$SYS.>', 'other.>'];
    const hidden = [...patterns, `${natsInbox(NAMESPACE, other(role))}.>`, 'other.announce', ...HIDDEN[role]];
    for (const pattern of hidden) bus.subscribe(pattern, () => {});
    await bus.flush();
    // The bus keeps quiet about refusals of requests to buckets and of their answers, which fail by themselves.
    const reported = hidden.filter((pattern) => !/^[$_]/.test(pattern));
    expect(refused).toHaveLength(reported.length);
    for (const [i, pattern] of reported.entries()) expect(refused[i]).toContain(`to subscribe to ${pattern};`);
    for (const subject of natsRights(NAMESPACE, role, 'one').subscribe) bus.subscribe(subject, () => {});
    await bus.flush();
    expect(refused).toHaveLength(reported.length);
    await bus.close();
  });

  it('says only what the role needs, and nothing where the server answers others', async () => {
    const heard = await connected(other(role));
    const answers: string[] = [];
    heard.bus.subscribe(`${natsInbox(NAMESPACE, other(role))}.>`, ({ subject }) => void answers.push(subject));
    await heard.bus.flush();
    const { bus, refused } = await connected(role);
    for (const subject of UNSAYABLE[role]) bus.publish(subject, new Uint8Array(1));
    bus.publish('other.announce', new Uint8Array(1));
    bus.publish(`${natsInbox(NAMESPACE, other(role))}.guessed`, new Uint8Array(1));
    bus.publish(`${NODE}.in`, new Uint8Array(1));
    // Only the server reports that a node does not listen.
    bus.publish(`${NODE}.absent.worker-2.0001`, new Uint8Array(1));
    await bus.flush();
    await heard.bus.flush();
    expect(refused).toHaveLength(UNSAYABLE[role].length + 2);
    expect(refused[0]).toContain(`NATS does not allow this user to publish to ${UNSAYABLE[role][0]};`);
    expect(refused[0]).toContain('shoal nats-users');
    expect(bus.shortcoming).toBe(refused[0]);
    expect(answers).toEqual([]);
    await Promise.all([bus.close(), heard.bus.close()]);
  });

  it("uses its own values, and neither others nor the rest of JetStream's API", async () => {
    const { bus: creator } = await connected('coordinator');
    for (const { name, maxBytes } of fleetBuckets(NAMESPACE)) await NatsKeyValue.open(creator, name, { maxBytes });
    const { bus } = await connected(role);
    const charter = await NatsKeyValue.open(bus, FLEET);
    expect(await charter.get(CHARTER_KEY)).toBeNull();
    for (const [bucket, key] of WRITTEN[role]) {
      const kv = await NatsKeyValue.open(bus, bucket);
      expect(await kv.create(key, Uint8Array.of(1))).toBe(true);
      expect(await kv.create(key, Uint8Array.of(2))).toBe(false);
      const { revision } = (await kv.get(key))!;
      expect(await kv.update(key, Uint8Array.of(3), revision)).toBe(true);
      await kv.delete(key);
      expect(await kv.get(key)).toBeNull();
    }
    const put = (bucket: string, key: string) => bus.connection.request(`$KV.${bucket}.${key}`);
    for (const [bucket, key] of CLOSED[role]) await expect(put(bucket, key)).rejects.toThrow(/permissions violation/i);
    const stream = `KV_${FLEET}`;
    const closed = [
      'INFO',
      'STREAM.LIST',
      'STREAM.NAMES',
      `STREAM.DELETE.${stream}`,
      `STREAM.PURGE.${stream}`,
      `STREAM.UPDATE.${stream}`,
      'STREAM.CREATE.other',
      ...(role === 'coordinator'
        ? []
        : [FLEET, GENERATIONS, RETENTIONS, ACTORS].map((name) => `STREAM.CREATE.KV_${name}`)),
      ...(role === 'coordinator' ? [] : [`STREAM.MSG.DELETE.${stream}`]),
    ];
    for (const call of [...closed, `CONSUMER.CREATE.${stream}`, `STREAM.SNAPSHOT.${stream}`]) {
      await expect(bus.connection.request(`$JS.API.${call}`)).rejects.toThrow(/permissions violation/i);
    }
    await Promise.all([bus.close(), creator.close()]);
  });
});

describe('the user of a node on NATS', () => {
  it('lets a program see that a fleet with another secret lives here', async () => {
    const { user, password } = users.coordinator;
    const named = { name: 'coordinator', inbox: natsInbox(NAMESPACE, 'coordinator') };
    const waiting = { signal: new AbortController().signal, onWaiting: () => {} };
    const nats = await natsTransport({ url: server.url, user, password, ...named, ...waiting });
    const sealing = { clock: new SystemClock(), random: new SystemRandom(), secret: SECRET, namespace: NAMESPACE };
    const transport = sealTransport(nats, { ...sealing, self: { id: 'coordinator-1', incarnation: '0001' } });
    const kv = await openBucket(transport, fleetBucket(NAMESPACE));
    expect(await kv.create(CHARTER_KEY, encode({ formatVersion: CHARTER_FORMAT_VERSION }))).toBe(true);
    const { coordinator } = fleetSubjects(NAMESPACE);
    const beats = sealing.clock.every(400, () => transport.bus.publish(coordinator, new Uint8Array(1)));
    const own = { namespace: NAMESPACE, user: users.node.user, password: users.node.password };
    await expect(connect(server.url, { ...own, secret: 'the secret of last year' })).rejects.toThrow(Refused);
    const fleet = await connect(server.url, { ...own, secret: SECRET });
    await fleet.close();
    beats.cancel();
    await kv.delete(CHARTER_KEY);
    await transport.bus.close();
  });
});

describe('shoal nats-buckets', () => {
  const created = (access: NodeJS.ProcessEnv) =>
    ran(process.execPath, [CLI, 'nats-buckets'], { ...process.env, ...access });

  it('names the buckets that are there, and says which user it needs', async () => {
    const own = await startNatsServer({ path: (await findNatsServer()).path, dir, users: Object.values(users) });
    const as = ({ user, password }: { user: string; password: string }) => ({
      ...{ SHOAL_NATS: own.url, SHOAL_NATS_USER: user, SHOAL_NATS_PASSWORD: password },
    });
    const names = fleetBuckets(NAMESPACE).map(({ name }) => `${name}\n`);
    expect(await created(as(users.coordinator))).toMatchObject({ code: 0, out: names.join('') });
    const { code, err } = await created(as(users.worker));
    await own.stop();
    expect(code).toBe(1);
    expect(err).toMatch(/this user of NATS may not .*; use the user, the password and the namespace of this role/);
  });

  it('fails over a bucket that has other settings', async () => {
    const nats = await plainNats((await findNatsServer()).path, ['-js', '-sd', join(dir, 'other')]);
    const admin = await connectNats({ url: nats.url });
    const { streams } = await jetstreamManager(admin.connection);
    await streams.add({ name: `KV_${RETENTIONS}`, subjects: [`$KV.${RETENTIONS}.>`], max_msg_size: 10 });
    const { code, err } = await created({ SHOAL_NATS: nats.url });
    await admin.close();
    await nats.stop('SIGKILL');
    expect(code).toBe(1);
    expect(err).toContain(`the bucket ${RETENTIONS} has other settings than shoal gave it`);
  });
});

describe('a bucket that is missing', () => {
  it('is created by coordinators alone; others say what to do', async () => {
    const own = await startNatsServer({
      path: (await findNatsServer()).path,
      dir,
      users: Object.values(users),
    });
    const connect = (role: NatsRole) => {
      const { user, password } = users[role];
      return connectNats({ url: own.url, user, password, inbox: natsInbox(NAMESPACE, role), onRefused: () => {} });
    };
    const [worker, coordinator] = [await connect('worker'), await connect('coordinator')];
    try {
      const opened = NatsKeyValue.open(worker, FLEET);
      await expect(opened).rejects.toThrow(
        `cannot use the NATS bucket ${FLEET}: it is missing, and this user of NATS may not create it; start a coordinator of the fleet, which does, or run shoal nats-buckets with its credentials`,
      );
      await expect(opened).rejects.not.toThrow(Unsupported);
      await NatsKeyValue.open(coordinator, FLEET);
      const kv = await NatsKeyValue.open(worker, FLEET);
      expect(await kv.create(CHARTER_KEY, Uint8Array.of(1))).toBe(true);
    } finally {
      await Promise.all([worker.close(), coordinator.close()]);
      await own.stop();
    }
  });
});

describe('a fleet on a NATS server with a user for each role', () => {
  it("gives one's own server these users as a part of its configuration", async () => {
    const page = await readFile('docs/SECURITY.md', 'utf8');
    const [, head] = /```\n(SHOAL_NATS_[^`]*)```/.exec(page)!;
    const [, command] = /```sh\nshoal (nats-users [^`]*)>> nats\.conf\n```/.exec(page)!;
    const { code, out } = await ran(process.execPath, [CLI, ...command!.trim().split(' ')]);
    expect(code).toBe(0);
    const file = join(dir, 'nats.conf');
    const passwords = head!.replace(/SHOAL_NATS_([A-Z]+)_PASSWORD: "…"/g, (line, role: string) =>
      line.replace('…', `1e3 of ${role.toLowerCase()}`),
    );
    await writeFile(file, passwords.replace('/var/lib/nats', join(dir, 'own')) + out);
    const own = await plainNats((await findNatsServer()).path, ['-c', file]);
    try {
      const access = { url: own.url, user: 'worker', password: '1e3 of worker', onRefused: () => {} };
      const bus = await connectNats(access);
      bus.subscribe(`${NAMESPACE}.announce`, () => {});
      bus.publish(`${NAMESPACE}.announce`, new Uint8Array(1));
      await bus.flush();
      expect(bus.shortcoming).toBeNull();
      bus.subscribe('>', () => {});
      await bus.flush();
      expect(bus.shortcoming).toContain('subscribe to >;');
      await bus.close();
      await expect(connectNats({ ...access, user: 'coordinator' })).rejects.toThrow('refuses the credentials');
    } finally {
      await own.stop();
    }
  });

  it('serves, retains and reports itself healthy without one refusal', async () => {
    const fleet = await Fleet.up(['--workers', '2', '--coordinators', '2']);
    try {
      const prompt = Array.from({ length: 200 }, (_, i) => i % 90);
      await fleet.complete({ prompt });
      expect((await fleet.post('/v1/cache/pin', { model: 'recall', tokens: prompt })).status).toBe(200);
      expect((await fleet.post('/reset_prefix_cache', {})).status).toBe(200);
      expect(await (await fetch(`${fleet.url}/health/ready`)).json()).not.toHaveProperty('degraded');
      expect(fleet.log).not.toContain('does not allow');
      expect(fleet.log).not.toContain('bucket');
    } finally {
      await fleet.stop();
    }
  });

  it('ends a member that has the rights of another role, with an error that names the remedy', async () => {
    const { user, password } = users.coordinator;
    const nats = { SHOAL_NATS: server.url, SHOAL_NATS_USER: user, SHOAL_NATS_PASSWORD: password };
    const worker = new JoinedWorker('worker-1', ['--cache-bytes', '64MiB'], { ...nats, SHOAL_SECRET: SECRET });
    const line = await worker.logged('this worker exits');
    expect(line).toContain(`NATS does not allow this user to publish to ${NAMESPACE}.`);
    expect(line).toContain('shoal nats-users');
    expect(await worker.ended).toBe(1);
  });
});
