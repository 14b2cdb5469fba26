import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CoordinatorWorld, startCoordinator } from '../../../coordinator/main.js';
import { Siblings } from '../../../coordinator/siblings.js';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { MemoryKeyValue } from '../../../src/bus/memory-key-value.js';
import { sealTransport } from '../../../src/bus/sealed-transport.js';
import { SimulatedClock } from '../../../src/clock.js';
import type { CoordinatorConfig } from '../../../src/config/coordinator-config.js';
import { Refused, Unavailable } from '../../../src/errors.js';
import { CHARTER_FORMAT_VERSION, joinCharter } from '../../../src/fleet/charter.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';
import { PROCESS_STOP_MS } from '../../../src/limits.js';
import { SILENT_LOG } from '../../../src/log.js';
import { SeededRandom } from '../../../src/random.js';
import { Reloads } from '../../../src/reload.js';
import { inlineText } from '../../support/inline-text.js';
import { passTime } from '../../support/pass-time.js';
import { PLAIN_HTTP } from '../../support/plain-http.js';

const subjects = fleetSubjects('fleet');
const MEMBER = { id: 'member', incarnation: '0001' };

const config: CoordinatorConfig = {
  id: 'c',
  namespace: 'fleet',
  nats: { url: 'nats://nowhere', user: null, password: null },
  secret: 'a secret that all of the fleet know',
  peerTls: null,
  host: '127.0.0.1',
  port: 0,
  modelDir: new URL('../../../models/recall', import.meta.url).pathname,
  adapterDir: '/nowhere/adapters',
  graph: { dtype: 'auto', file: null },
  parsers: { toolCalls: 'auto', reasoning: 'auto' },
  servedModelName: 'recall',
  modelAliases: [],
  replicas: 2,
  contextTokens: 1024,
  allowRouting: false,
  allowChaos: false,
  apiKeys: [],
  metricsKeys: [],
  http: PLAIN_HTTP,
  keysFile: null,
  jwt: null,
  auditLog: null,
  objectBytes: 0,
  responseTtlMs: 0,
  redis: null,
  trace: null,
  logLevel: 'silent',
};

/** A coordinator's world in memory, in which everything that it leaves behind can be seen. */
function world() {
  const broker = new MemoryBroker();
  const clock = new SimulatedClock();
  const bus = broker.connect('c');
  const bucket = new MemoryKeyValue();
  const connect = async () => ({ bus, openKeyValue: async () => bucket });
  const openText: CoordinatorWorld['openText'] = (_life, source) => inlineText(source);
  return { broker, clock, bus, bucket, connect, openText, log: SILENT_LOG, reloads: new Reloads() };
}

describe('a coordinator', () => {
  let taken: Server;
  let takenPort: number;
  beforeAll(async () => {
    taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    takenPort = (taken.address() as AddressInfo).port;
  });
  afterAll(() => new Promise((resolve) => taken.close(resolve)));

  it('serves over any transport, and leaves no connection and no timer when it stops', async () => {
    const { broker, clock, bus, ...rest } = world();
    const heard: string[] = [];
    broker.connect('listener').subscribe(subjects.coordinator, ({ subject }) => heard.push(subject));
    const running = await passTime(clock, startCoordinator(config, { clock, ...rest }));
    const { url } = running.ready as { url: string };
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
    expect(heard).toHaveLength(1);
    expect(running.stopMs).toBe(PROCESS_STOP_MS + config.http.shutdownMs);
    expect(clock.nextAtMs()).not.toBeNull();
    await running.stop();
    await expect(fetch(`${url}/health/live`)).rejects.toThrow();
    expect(bus.connected).toBe(false);
    expect(clock.nextAtMs()).toBeNull();
  });

  it('leaves no connection and no timer where its port is taken', async () => {
    const { clock, bus, ...rest } = world();
    const starting = startCoordinator({ ...config, port: takenPort }, { clock, ...rest });
    await expect(passTime(clock, starting)).rejects.toThrow(Unavailable);
    expect(bus.connected).toBe(false);
    expect(clock.nextAtMs()).toBeNull();
  });

  it('leaves no connection and no timer where another living coordinator has its name', async () => {
    const { broker, clock, bus, bucket, ...rest } = world();
    const other = sealTransport(
      { bus: broker.connect('other'), openKeyValue: async () => bucket },
      { ...rest, clock, random: new SeededRandom(1), secret: config.secret, namespace: 'fleet', self: MEMBER },
    );
    const siblings = new Siblings(other.bus, clock, subjects, { id: config.id, pid: 1, host: 'elsewhere' });
    siblings.start();
    const starting = startCoordinator(config, { clock, ...rest });
    await expect(passTime(clock, starting)).rejects.toThrow(/is named c too: process 1 on elsewhere; give each/);
    siblings.stop();
    expect(bus.connected).toBe(false);
    expect(clock.nextAtMs()).toBeNull();
  });

  it('leaves no connection where the fleet refuses it', async () => {
    const { broker, clock, bus, bucket, ...rest } = world();
    const charter = {
      formatVersion: CHARTER_FORMAT_VERSION,
      blockTokens: 64,
      segmentBlocks: 8,
      replicas: 2,
      model: 'other',
    };
    const member = sealTransport(
      { bus: broker.connect('member'), openKeyValue: async () => bucket },
      { ...rest, clock, random: new SeededRandom(1), secret: config.secret, namespace: 'fleet', self: MEMBER },
    );
    const values = await member.openKeyValue('shoal-fleet');
    const dead = { clock, anybodyAlive: async () => 'nobody' as const };
    await joinCharter(values, { ...charter, fingerprint: 'b'.repeat(64) }, dead);
    member.bus.subscribe(subjects.hello, () => member.bus.publish(subjects.announce, new Uint8Array()));
    await expect(passTime(clock, startCoordinator(config, { clock, ...rest }))).rejects.toThrow(Refused);
    expect(bus.connected).toBe(false);
    expect(clock.nextAtMs()).toBeNull();
  });
});
