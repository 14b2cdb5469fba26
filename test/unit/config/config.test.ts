import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readCoordinatorConfig, readUpConfig, readWorkerConfig } from '../../../src/config/config.js';
import { isLoopback } from '../../../src/config/exposure.js';
import type { Machine } from '../../../src/config/machine.js';
import { WrongUsage } from '../../../src/config/wrong-usage.js';
import { PROCESS_STOP_MS } from '../../../src/limits.js';
import { FLEET_TLS, OTHER_TLS } from '../peer/support/tls.js';

const GiB = 2 ** 30;
const SECRET = 'a secret of the whole fleet';
const machine: Machine = {
  cores: 8,
  availableBytes: 64 * GiB,
  hostname: 'box',
  outsideAddress: '10.0.0.7',
  nameEnd: '1a2b3c4d',
};
const worker = (environment: Record<string, string> = {}, on: Partial<Machine> = {}) =>
  readWorkerConfig({
    flags: {},
    environment: { SHOAL_SECRET: SECRET, ...environment },
    machine: { ...machine, ...on },
  });
const coordinator = (environment: Record<string, string> = {}, on: Partial<Machine> = {}) =>
  readCoordinatorConfig({
    flags: {},
    environment: { SHOAL_SECRET: SECRET, ...environment },
    machine: { ...machine, ...on },
  });
const up = (flags: Record<string, unknown> = {}, environment: Record<string, string> = {}, on: Partial<Machine> = {}) =>
  readUpConfig({ flags, environment, machine: { ...machine, ...on } });

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shoal-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the graph of a model', () => {
  it('is named by its type, by its name, or by its file', () => {
    expect(worker().graph).toEqual({ dtype: 'auto', file: null });
    expect(worker({ SHOAL_DTYPE: 'Q4F16', SHOAL_MODEL_FILE: 'decoder' }).graph).toEqual({
      dtype: 'q4f16',
      file: 'decoder',
    });
    expect(coordinator({ SHOAL_MODEL_FILE: 'onnx/model.onnx' }).graph).toEqual({
      dtype: 'auto',
      file: 'onnx/model.onnx',
    });
    expect(() => worker({ SHOAL_DTYPE: 'q5' })).toThrow(/SHOAL_DTYPE: must be one of auto, fp32, fp16/);
    expect(() => worker({ SHOAL_DTYPE: 'q4', SHOAL_MODEL_FILE: 'onnx/model.onnx' })).toThrow(
      /--dtype .*must be auto if --model-file/,
    );
  });

  it('is passed on by up to all its children', () => {
    const { coordinator: ofCoordinator, worker: ofWorker } = up({ dtype: 'fp32', modelFile: 'model' });
    for (const variables of [ofCoordinator, ofWorker]) {
      expect(variables).toMatchObject({ SHOAL_DTYPE: 'fp32', SHOAL_MODEL_FILE: 'model' });
    }
  });
});

describe('memory for objects', () => {
  it('is set for the whole fleet by up, and for one process by its role', () => {
    const variables = { SHOAL_OBJECT_BYTES: '64MiB', SHOAL_ACTOR_OBJECT_BYTES: '2MiB', SHOAL_ACTORS: 'actors.js' };
    const { coordinator: ofCoordinator, worker: ofWorker } = up({ objectBytes: '64MiB' });
    for (const inherited of [ofCoordinator, ofWorker]) expect(inherited).toMatchObject({ SHOAL_OBJECT_BYTES: '64MiB' });
    expect(coordinator(variables).objectBytes).toBe(64 * 2 ** 20);
    expect(coordinator({ SHOAL_OBJECT_BYTES: '0' }).objectBytes).toBe(0);
    expect(worker(variables)).toMatchObject({
      objectBytes: 64 * 2 ** 20,
      hosting: { objects: { budgetBytes: 2 * 2 ** 20 } },
    });
  });
});

describe('the configuration of a worker', () => {
  it('has defaults for everything except the secret', () => {
    expect(worker()).toMatchObject({
      id: 'worker-1a2b3c4d',
      namespace: 'shoal',
      nats: { url: 'nats://127.0.0.1:4222', user: null, password: null },
      secret: SECRET,
      modelDir: expect.stringMatching(/\/models\/recall$/),
      device: 'auto',
      replicas: 2,
      durability: 'pooled',
      cache: true,
      cacheBytes: GiB,
      hostCacheBytes: null,
      diskCacheDir: null,
      diskCacheBytes: 10 * GiB,
      sequences: 8,
      contextTokens: null,
      memoryBytes: 64 * GiB,
      sharedWeightsDir: null,
      threads: 8,
      prefill: { chunkTokens: 256, pauseMs: 200 },
      draftTokens: 0,
      auditOneIn: 256,
      handOverMs: 3_000,
      maxWaiting: 512,
      peer: { socketPath: null, host: '127.0.0.1', port: 0, advertiseHost: '127.0.0.1' },
      metrics: { host: '127.0.0.1', port: 0 },
      objectBytes: 512 * 2 ** 20,
      redis: null,
      logLevel: 'info',
    });
    expect(() => readWorkerConfig({ flags: {}, environment: {}, machine })).toThrow(
      /^SHOAL_SECRET: must be 16 to 1024 characters.*got nothing/,
    );
  });

  it('is deeply frozen', () => {
    const config = worker();
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.peer)).toBe(true);
    expect(Object.isFrozen(config.nats)).toBe(true);
  });

  const peerTlsFiles = (pems: { key: string; cert: string; ca: string } = FLEET_TLS) =>
    Object.fromEntries(
      (['key', 'cert', 'ca'] as const).map((name) => {
        const path = join(folder, `${name}.pem`);
        writeFileSync(path, pems[name]);
        return [`SHOAL_PEER_TLS_${name.toUpperCase()}`, path];
      }),
    );

  it('requires all three TLS files, or none', () => {
    const files = peerTlsFiles();
    const { key, cert, ca } = FLEET_TLS;
    const trimmed = { key: key.trim(), cert: cert.trim(), ca: ca.trim() };
    expect(worker(files).peerTls).toMatchObject(trimmed);
    expect(coordinator(files).peerTls).toMatchObject(trimmed);
    const { SHOAL_PEER_TLS_CERT: _, ...others } = files;
    expect(() => worker(others)).toThrow(/--peer-tls-cert \(SHOAL_PEER_TLS_CERT\): must be set/);
    expect(() => worker({ ...files, SHOAL_PEER_TLS_CA: join(folder, 'none') })).toThrow(
      /SHOAL_PEER_TLS_CA.*cannot read/,
    );
  });

  it.each([
    [
      'an authority that is none',
      { ca: 'not a certificate' },
      /PEER_TLS_CA.*must have at least one certificate in PEM/,
    ],
    ['half of a second authority', { ca: FLEET_TLS.ca + OTHER_TLS.ca.slice(0, 200) }, /PEER_TLS_CA.*is cut off/],
    ['an empty authority', { ca: '' }, /PEER_TLS_CA.*must not be empty/],
    ['a key that is none', { key: 'not a key' }, /PEER_TLS_KEY.*must have a private key in PEM/],
    ['the certificate of another key', { cert: OTHER_TLS.cert }, /PEER_TLS_CERT.*does not belong to the key/],
  ])('refuses %s for TLS between peers, by name', (_name, changed, message) => {
    const files = peerTlsFiles({ ...FLEET_TLS, ...changed });
    for (const read of [worker, coordinator]) {
      expect(() => read(files)).toThrow(WrongUsage);
      expect(() => read(files)).toThrow(message);
    }
  });

  it('takes no more memory and threads than a small machine has', () => {
    expect(worker({}, { availableBytes: GiB, cores: 1 })).toMatchObject({ cacheBytes: GiB / 2, threads: 1 });
    expect(worker({}, { cores: 128 }).threads).toBe(16);
    expect(() => worker({ SHOAL_CACHE_BYTES: '2GiB' }, { availableBytes: GiB })).toThrow(
      /SHOAL_CACHE_BYTES.*at most.* 1 GiB, got 2 GiB/,
    );
  });

  it('has the free memory, or what it is given', () => {
    expect(worker({}, { availableBytes: 8 * GiB }).memoryBytes).toBe(8 * GiB);
    expect(worker({ SHOAL_MEMORY: '3GiB' }).memoryBytes).toBe(3 * GiB);
    expect(up({ workers: '4' }, {}, { availableBytes: 8 * GiB }).worker.SHOAL_MEMORY).toBe(String(2 * GiB));
    expect(up({ workers: '4', memory: '1GiB' }).worker.SHOAL_MEMORY).toBe(String(GiB));
  });

  it('tells actors on workers which coordinator to ask', () => {
    const urlOf = (options: Record<string, string>) => up(options).worker.SHOAL_URL;
    expect(urlOf({ port: '9000' })).toBe('http://127.0.0.1:9000');
    expect(urlOf({ port: '9000', host: '::1' })).toBe('http://[::1]:9000');
    expect(urlOf({ port: '9000', host: '0.0.0.0', insecure: '1' })).toBe('http://127.0.0.1:9000');
    expect(urlOf({ port: '0' })).toBeUndefined();
  });

  it('shares weights in a folder, or not', () => {
    expect(worker({ SHOAL_SHARED_WEIGHTS: 'weights' }).sharedWeightsDir).toBe(resolve('weights'));
    expect(worker({ SHOAL_SHARED_WEIGHTS: 'off' }).sharedWeightsDir).toBeNull();
    expect(up({ workers: '2' }).sharesWeights).toBe(true);
    expect(up({ workers: '1' }).sharesWeights).toBe(false);
    expect(up({ workers: '2', sharedWeights: 'off' }).sharesWeights).toBe(false);
    const named = up({ workers: '2', sharedWeights: '/weights' });
    expect([named.sharesWeights, named.worker.SHOAL_SHARED_WEIGHTS]).toEqual([false, '/weights']);
  });

  it('takes the budgets and the folder of lower tiers', () => {
    expect(worker({ SHOAL_HOST_CACHE_BYTES: '0' }).hostCacheBytes).toBe(0);
    expect(worker({ SHOAL_HOST_CACHE_BYTES: '3GiB' }).hostCacheBytes).toBe(3 * GiB);
    expect(() => worker({ SHOAL_HOST_CACHE_BYTES: '65GiB' })).toThrow(
      /SHOAL_HOST_CACHE_BYTES.*at most.* 64 GiB, got 65 GiB/,
    );
    const disk = worker({ SHOAL_DISK_CACHE_DIR: 'blocks', SHOAL_DISK_CACHE_BYTES: '2MiB' });
    expect(disk).toMatchObject({ diskCacheDir: resolve('blocks'), diskCacheBytes: 2 * 2 ** 20 });
    expect(() => worker({ SHOAL_DISK_CACHE_BYTES: '1KiB' })).toThrow(/SHOAL_DISK_CACHE_BYTES.*at least 1MiB/);
  });

  it('separates NATS credentials from the URL', () => {
    expect(worker({ SHOAL_NATS: 'nats://me:p%40ss@nats.example:4333' }).nats).toEqual({
      url: 'nats://nats.example:4333',
      user: 'me',
      password: 'p@ss',
    });
    expect(worker({ SHOAL_NATS: 'h:1', SHOAL_NATS_USER: 'u', SHOAL_NATS_PASSWORD: 'p' }).nats).toEqual({
      url: 'nats://h:1',
      user: 'u',
      password: 'p',
    });
    expect(() => worker({ SHOAL_NATS_PASSWORD: 'p' })).toThrow(/SHOAL_NATS_USER/);
  });

  it('takes several NATS servers separated by commas, in every role', () => {
    const variables = { SHOAL_NATS: ' nats://me:p%40ss@a:4333, b , nats://[::1]:4444 ' };
    const expected = { url: 'nats://a:4333,nats://b,nats://[::1]:4444', user: 'me', password: 'p@ss' };
    expect(worker(variables).nats).toEqual(expected);
    expect(coordinator(variables).nats).toEqual(expected);
    expect(up({}, variables).nats).toEqual(expected);
    expect(up({ nats: 'tls://a,tls://b' }).nats?.url).toBe('tls://a,tls://b');
  });

  it.each([
    ['a,,c', 'entry 2 of 3 is invalid'],
    ['a,b,', 'entry 3 of 3 is invalid'],
    ['nats://a,http://b', 'entry 2 of 2 is invalid'],
    ['nats://a,tls://b', 'the entries have different schemes'],
    [Array.from({ length: 17 }, (_, i) => `host-${i}`).join(','), 'there are 17'],
    ['nats://me:sesame@a,nats://you:sesame@b', 'the same credentials in all URLs'],
  ])('refuses the NATS servers %s', (servers, fault) => {
    for (const read of [() => worker({ SHOAL_NATS: servers }), () => up({ nats: servers })]) {
      expect(read).toThrow(WrongUsage);
      expect(read).toThrow(fault);
      expect(read).not.toThrow(/sesame/);
    }
  });

  it('reads the password for NATS from a file, unless there is a variable', () => {
    const file = join(folder, 'password');
    writeFileSync(file, 'from a file\n');
    const given = { SHOAL_NATS_USER: 'u', SHOAL_NATS_PASSWORD_FILE: file };
    expect(worker(given).nats.password).toBe('from a file');
    expect(coordinator(given).nats.password).toBe('from a file');
    expect(up({}, { ...given, SHOAL_NATS: 'nats://h:1' }).nats?.password).toBe('from a file');
    expect(worker({ ...given, SHOAL_NATS_PASSWORD: 'p' }).nats.password).toBe('p');
    expect(() => worker({ ...given, SHOAL_NATS_PASSWORD_FILE: join(folder, 'none') })).toThrow(
      /SHOAL_NATS_PASSWORD_FILE.*cannot read/,
    );
  });

  it('reads the secret from a file, and reports a wrong file', () => {
    const file = join(folder, 'secret');
    writeFileSync(file, `${SECRET} in a file\n`);
    expect(worker({ SHOAL_SECRET: '', SHOAL_SECRET_FILE: file }).secret).toBe(`${SECRET} in a file`);
    writeFileSync(file, 'short');
    expect(() => worker({ SHOAL_SECRET: '', SHOAL_SECRET_FILE: file })).toThrow(/16 to 1024 characters/);
    expect(() => worker({ SHOAL_SECRET: '', SHOAL_SECRET_FILE: join(folder, 'none') })).toThrow(
      /SHOAL_SECRET_FILE.*cannot read/,
    );
  });

  it('limits the budget of blocks to host memory if the device may be the CPU', () => {
    const tooMuch = { SHOAL_CACHE_BYTES: '1000GiB' };
    for (const device of ['cpu', 'auto']) {
      expect(() => worker({ ...tooMuch, SHOAL_DEVICE: device })).toThrow(/must be at most .* got 1000 GiB/);
    }
    for (const device of ['webgpu', 'cuda']) {
      expect(worker({ ...tooMuch, SHOAL_DEVICE: device }).cacheBytes).toBe(1000 * GiB);
    }
  });

  it.each(['cpu', 'webgpu', 'cuda'])('leaves it to the worker to check for %s', (device) => {
    expect(worker({ SHOAL_DEVICE: device }).device).toBe(device);
  });

  it('advertises an address that peers can reach', () => {
    expect(worker({ SHOAL_PEER_HOST: '0.0.0.0' }).peer.advertiseHost).toBe('10.0.0.7');
    expect(worker({ SHOAL_PEER_HOST: '0.0.0.0' }, { outsideAddress: null }).peer.advertiseHost).toBe('box');
    expect(worker({ SHOAL_PEER_HOST: '0.0.0.0', SHOAL_ADVERTISE_HOST: 'pod-1' }).peer.advertiseHost).toBe('pod-1');
    expect(worker({ SHOAL_PEER_PORT: 'off', SHOAL_PEER_SOCKET: '/run/a.sock' }).peer).toMatchObject({
      port: null,
      socketPath: '/run/a.sock',
    });
    expect(() => worker({ SHOAL_PEER_PORT: 'off' })).toThrow(/--peer-socket/);
    expect(worker({ SHOAL_METRICS_PORT: 'off' }).metrics).toBeNull();
  });

  it('refuses a folder without a model', () => {
    expect(() => worker({ SHOAL_MODEL: folder })).toThrow(WrongUsage);
    expect(() => worker({ SHOAL_MODEL: folder })).toThrow(/--model \(SHOAL_MODEL\).*config.json/);
  });
});

describe('the configuration of a coordinator', () => {
  it('has defaults for everything', () => {
    expect(coordinator()).toMatchObject({
      id: 'coordinator-1a2b3c4d',
      host: '127.0.0.1',
      port: 8080,
      servedModelName: 'recall',
      modelAliases: [],
      allowRouting: false,
      apiKeys: [],
    });
  });

  it('refuses API keys that can be guessed', () => {
    expect(() => coordinator({ SHOAL_API_KEYS: 'a-key-of-enough-characters,short' })).toThrow(
      'SHOAL_API_KEYS: each key must have at least 16 characters; key 2 has 5; shoal key makes one',
    );
  });

  it('reads API keys from the variable or a file', () => {
    const [one, two] = ['the-first-of-two-keys', 'the-second-of-two-keys'];
    expect(coordinator({ SHOAL_API_KEYS: `${one}, ${two}` }).apiKeys).toEqual([one, two]);
    const file = join(folder, 'keys');
    writeFileSync(file, `${two}\n${one}\n`);
    expect(coordinator({ SHOAL_API_KEYS_FILE: file }).apiKeys).toEqual([two, one]);
  });

  it('refuses an address that others can reach without API keys, unless that is allowed', () => {
    const open = { SHOAL_HOST: '0.0.0.0' };
    expect(() => coordinator(open)).toThrow(WrongUsage);
    expect(() => coordinator(open)).toThrow(/--host \(SHOAL_HOST\).*SHOAL_API_KEYS.*--insecure \(SHOAL_INSECURE=1\)/);
    expect(() => up({ host: '10.0.0.7' })).toThrow(/--insecure/);
    expect(up({ host: '10.0.0.7', insecure: true }).coordinator.SHOAL_INSECURE).toBe('on');
    expect(coordinator({ ...open, SHOAL_INSECURE: '1' }).host).toBe('0.0.0.0');
    expect(coordinator({ ...open, SHOAL_API_KEYS: 'a-key-that-is-long-enough' }).host).toBe('0.0.0.0');
    expect(coordinator({ ...open, SHOAL_PUBLISHED_HOST: '127.0.0.1' }).host).toBe('0.0.0.0');
    expect(() => coordinator({ ...open, SHOAL_PUBLISHED_HOST: '0.0.0.0' })).toThrow(/--published-host/);
  });

  it('reads hosts and origins, and refuses what could never match', () => {
    const read = { SHOAL_ALLOWED_HOSTS: ',shoal, *.example.com,[::2]', SHOAL_ALLOWED_ORIGINS: 'https://a.example:1' };
    expect(coordinator(read).http).toMatchObject({
      allowedHosts: ['shoal', '*.example.com', '[::2]'],
      allowedOrigins: ['https://a.example:1'],
    });
    for (const hosts of ['shoal:8080', 'http://shoal', '*shoal', 'a,b/c'])
      expect(() => coordinator({ SHOAL_ALLOWED_HOSTS: hosts })).toThrow(
        /SHOAL_ALLOWED_HOSTS: must be .*without a port/,
      );
    for (const origin of ['app.example', 'https://app.example/', 'null', 'https://a@b'])
      expect(() => coordinator({ SHOAL_ALLOWED_ORIGINS: origin })).toThrow(/SHOAL_ALLOWED_ORIGINS: must be/);
  });

  it('keeps a share of the free memory for request bodies, within limits', () => {
    const budget = (availableBytes: number) => coordinator({}, { availableBytes }).http.bodyBudgetBytes;
    expect([GiB / 8, 4 * GiB, 99 * GiB].map(budget)).toEqual([64 * 2 ** 20, GiB / 2, GiB]);
    expect(coordinator({ SHOAL_BODY_BUDGET: '2GiB' }).http.bodyBudgetBytes).toBe(2 * GiB);
  });

  it('needs a key and a certificate for TLS', () => {
    expect(coordinator().http.tls).toBeNull();
    expect(() => coordinator({ SHOAL_TLS_KEY: 'k' })).toThrow(/--tls-cert/);
    expect(() => coordinator({ SHOAL_TLS_CLIENT_CA: 'c' })).toThrow(/--tls-key/);
    const all = { SHOAL_TLS_KEY: 'k', SHOAL_TLS_CERT: 'c', SHOAL_TLS_CLIENT_CA: 'a' };
    expect(coordinator(all).http.tls).toEqual({ key: 'k', cert: 'c', clientCa: 'a' });
  });

  it('allows routing if the option is set', () => {
    expect(coordinator({ SHOAL_ALLOW_ROUTING: '1' }).allowRouting).toBe(true);
    expect(coordinator().http.shutdownMs).toBe(20_000);
    expect(coordinator({ SHOAL_SHUTDOWN_TIMEOUT: '5m' }).http.shutdownMs).toBe(300_000);
    expect(coordinator({ ...up().coordinator }).http.shutdownMs).toBeLessThan(PROCESS_STOP_MS);
  });
});

describe('the configuration of shoal up', () => {
  it('shares memory and cores among its workers', () => {
    expect(up().worker).toMatchObject({ SHOAL_CACHE_BYTES: String(GiB), SHOAL_THREADS: '8', SHOAL_LOG_LEVEL: 'warn' });
    const small = up({ workers: '16' }, {}, { availableBytes: 8 * GiB });
    expect(small.worker).toMatchObject({ SHOAL_CACHE_BYTES: String(GiB / 4), SHOAL_THREADS: '2' });
  });

  it('gives each coordinator a port: the given one and the next ones, or free ones', () => {
    expect(up().ports).toEqual([8080]);
    expect(up({ coordinators: '3' }, { SHOAL_PORT: '9000' }).ports).toEqual([9000, 9001, 9002]);
    expect(up({ port: '0' }, { SHOAL_COORDINATORS: '2' }).ports).toEqual([0, 0]);
    expect(() => up({ port: '65535', coordinators: '2' })).toThrow(
      '--port (SHOAL_PORT): must be at most 65534 for 2 coordinators, got 65535',
    );
  });

  it('allows routing by default on loopback addresses only', () => {
    expect(up().coordinator.SHOAL_ALLOW_ROUTING).toBe('1');
    expect(up({}, { SHOAL_API_KEYS: 'k'.repeat(16) }).coordinator.SHOAL_ALLOW_ROUTING).toBe('0');
    expect(up({ host: '0.0.0.0', insecure: true }).coordinator.SHOAL_ALLOW_ROUTING).toBe('0');
    expect(up({ host: '0.0.0.0', allowRouting: true, insecure: true }).coordinator.SHOAL_ALLOW_ROUTING).toBe('1');
    expect(['localhost', '127.0.0.1', '127.8.9.1', '::1'].every(isLoopback)).toBe(true);
    expect(['0.0.0.0', '::', '10.0.0.1', '127.evil.example', '127.0.0.1.example'].some(isLoopback)).toBe(false);
  });

  it('passes the given options on to workers, except NATS and the secret, which it sets itself', () => {
    const {
      worker: variables,
      secret,
      nats,
    } = up({ sequences: '4', nats: 'nats://u:p@h:1' }, { SHOAL_SECRET: SECRET, SHOAL_CONTEXT: '1024' });
    expect(variables).toMatchObject({ SHOAL_SEQUENCES: '4', SHOAL_CONTEXT: '1024' });
    expect(Object.keys(variables).filter((name) => /NATS|SECRET/.test(name))).toEqual([]);
    expect(secret).toBe(SECRET);
    expect(nats).toEqual({ url: 'nats://h:1', user: 'u', password: 'p' });
  });

  it('gives children variables that they can read', () => {
    const config = up({ cacheBytes: '64MiB', cache: 'off', servedModelName: 'echo' });
    expect(worker({ ...config.worker })).toMatchObject({ cacheBytes: 64 * 2 ** 20, cache: false, logLevel: 'warn' });
    expect(coordinator({ ...config.coordinator })).toMatchObject({
      servedModelName: 'echo',
      modelAliases: [],
      allowRouting: true,
    });
  });

  it('gives the model the names that follow one flag', () => {
    const config = up({ servedModelName: ['echo', 'org/echo'] });
    expect(config.modelName).toBe('echo');
    const names = { servedModelName: 'echo', modelAliases: ['org/echo'] };
    expect(coordinator({ ...config.coordinator })).toMatchObject(names);
    expect(coordinator({ SHOAL_SERVED_MODEL_NAME: 'echo org/echo' })).toMatchObject(names);
    expect(() => coordinator({ SHOAL_SERVED_MODEL_NAME: 'x'.repeat(129) })).toThrow(/SHOAL_SERVED_MODEL_NAME: must be/);
  });

  it('has a Unix socket for clients, unless they need certificates', () => {
    expect(coordinator({ SHOAL_UDS: '/run/shoal' }).http.socketPath).toBe('/run/shoal');
    const tls = { SHOAL_TLS_KEY: 'k', SHOAL_TLS_CERT: 'c', SHOAL_TLS_CLIENT_CA: 'ca' };
    expect(() => coordinator({ ...tls, SHOAL_UDS: '/run/shoal' })).toThrow(/--uds \(SHOAL_UDS\): must not/);
  });
});
