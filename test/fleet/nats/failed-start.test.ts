import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddedServer, startNatsServer } from '../../../cli/nats/embedded-server.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import { runCoordinator } from '../../../coordinator/main.js';
import type { CoordinatorConfig } from '../../../src/config/coordinator-config.js';
import type { WorkerConfig } from '../../../src/config/worker-config.js';
import { Unavailable } from '../../../src/errors.js';
import { liveHandles } from '../../../src/native/handle.js';
import { runWorker } from '../../../workers/main.js';
import { PLAIN_HTTP } from '../../support/plain-http.js';

let dir: string;
let nats: EmbeddedServer;
let taken: Server;
let takenPort: number;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
  nats = await startNatsServer({ path: (await findNatsServer()).path, dir });
  taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  takenPort = (taken.address() as AddressInfo).port;
});

afterAll(async () => {
  await new Promise((resolve) => taken.close(resolve));
  await nats.stop();
  await rm(dir, { recursive: true, force: true });
});

const common = () => ({
  namespace: 'failed-start',
  nats: { url: nats.url, user: nats.user, password: nats.password },
  secret: 'a secret that all of the fleet know',
  peerTls: null,
  modelDir: new URL('../../../models/recall', import.meta.url).pathname,
  adapterDir: '/nowhere/adapters',
  graph: { dtype: 'auto' as const, file: null },
  replicas: 2,
  contextTokens: 256,
  trace: null,
  logLevel: 'silent' as const,
  allowChaos: false,
  hosting: null,
});

/** What keeps this process alive, but for files that are being read. */
const held = () =>
  process
    .getActiveResourcesInfo()
    .filter((kind) => !kind.startsWith('FS') && !kind.startsWith('Close'))
    .sort();

/** What `held` names now, and did not name before. */
function added(before: readonly string[]): string[] {
  const known = [...before];
  return held().filter((kind) => {
    const at = known.indexOf(kind);
    if (at !== -1) known.splice(at, 1);
    return at === -1;
  });
}

/** Sockets close a few turns of the event loop after they were told to. */
async function holdsNothingMoreThan(before: readonly string[]): Promise<void> {
  for (let turns = 0; turns < 1_000 && added(before).length > 0; turns++) await setImmediate();
  expect(added(before)).toEqual([]);
}

describe('a start that fails leaves no connection, timer or server', () => {
  test('of a coordinator whose port is taken', async () => {
    const config: CoordinatorConfig = {
      ...common(),
      id: 'c',
      host: '127.0.0.1',
      port: takenPort,
      parsers: { toolCalls: 'auto', reasoning: 'auto' },
      servedModelName: 'recall',
      modelAliases: [],
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
    };
    const before = held();
    await expect(runCoordinator(config, new AbortController().signal)).rejects.toThrow(Unavailable);
    await holdsNothingMoreThan(before);
  });

  test('of a worker whose port for metrics is taken, and none of the memory of its model', async () => {
    const config: WorkerConfig = {
      ...common(),
      id: 'w',
      device: 'cpu',
      adapterBytes: 2 ** 29,
      trial: false,
      fetch: 'cheapest',
      durability: 'pooled',
      cache: true,
      cacheBytes: 2 ** 24,
      hostCacheBytes: 0,
      diskCacheDir: join(dir, 'blocks'),
      diskCacheBytes: 2 ** 24,
      objectDiskBytes: 0,
      diskCacheKey: 'k'.repeat(16),
      sequences: 2,
      memoryBytes: 2 ** 30,
      sharedWeightsDir: null,
      threads: 1,
      prefill: { chunkTokens: 64, pauseMs: 0 },
      draftTokens: 0,
      auditOneIn: 0,
      handOverMs: 3_000,
      maxWaiting: 4,
      peer: { socketPath: join(dir, 'w.sock'), host: '127.0.0.1', port: null, advertiseHost: '127.0.0.1' },
      metrics: { host: '127.0.0.1', port: takenPort },
      objectBytes: 2 ** 20,
      redis: null,
    };
    const before = held();
    await expect(runWorker(config, new AbortController().signal)).rejects.toThrow('EADDRINUSE');
    await holdsNothingMoreThan(before);
    expect(Object.values(liveHandles()).every((count) => count === 0)).toBe(true);
    expect(await readdir(dir)).not.toContain('w.sock');
  });
});
