import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../../../cli/program.js';
import { operatorKey } from '../../../src/operator-key.js';

const SECRET = 'a-secret-of-the-cluster';
const KEYS = ['key-one-of-a-client', 'key-two-of-a-client'];

let dir: string;
let server: Server;
const asked: string[] = [];
let status = 200;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-bundle-'));
  asked.length = 0;
  status = 200;
  server = createServer((request, response) => {
    asked.push(`${request.url} ${request.headers.authorization}`);
    response.writeHead(status).end(`{"path":"${request.url}","leak":"${SECRET}"}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(dir, { recursive: true });
});

const inDir = (name: string) => join(dir, name);

async function bundled(environment: Record<string, string>) {
  const out: string[] = [];
  const err: string[] = [];
  const io = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
  const SHOAL_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const SHOAL_BUNDLE_FILE = inDir('b.tar.gz');
  const code = await run(['debug', 'bundle'], { environment: { SHOAL_URL, SHOAL_BUNDLE_FILE, ...environment }, io });
  return { code, out: out.join(''), err: err.join('') };
}

/** The files of the bundle, as tar reads them. */
function unpacked(): (name: string) => string {
  execFileSync('tar', ['-xzf', inDir('b.tar.gz'), '-C', dir]);
  return (name) => readFileSync(join(dir, 'shoal-bundle', name), 'utf8');
}

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const JWT = `${part({ alg: 'ES256' })}.${part({ sub: 'somebody' })}.c2lnbmF0dXJl`;

describe('a bundle', () => {
  it('has versions, configuration, state, metrics and the ends of logs, and no secret anywhere', async () => {
    const log = inDir('worker.log');
    const line = `{"msg":"secret ${SECRET} of ${KEYS[1]}","url":"nats://me:hush@host","h":"Bearer abcdefghijkl","msg":"refused ${JWT}"}\n`;
    writeFileSync(log, `${line.repeat(60_000)}the end\n`);
    writeFileSync(inDir('keys'), KEYS.join('\n'));
    const { code, out, err } = await bundled({
      ...{ SHOAL_SECRET: SECRET, SHOAL_API_KEYS_FILE: inDir('keys'), SHOAL_API_KEY: KEYS[0]! },
      ...{ SHOAL_REPLICAS: '3', SHOAL_LOGS: `${log},${inDir('absent.log')}`, OTHER: 'not an option' },
    });
    expect(code).toBe(1);
    expect(out).toContain('versions.json, config.json, fleet.json, health.json, pins.json, metrics.txt, heap.json');
    expect(err).toContain('cannot read the log');
    expect(asked).toContain(`/metrics Bearer ${KEYS[0]}`);
    expect(statSync(inDir('b.tar.gz')).mode & 0o777).toBe(0o600);
    const file = unpacked();
    expect(JSON.parse(file('config.json'))).toMatchObject({ SHOAL_SECRET: '[set]', SHOAL_REPLICAS: '3' });
    expect(JSON.parse(file('versions.json'))).toMatchObject({ node: process.version });
    expect(JSON.parse(file('fleet.json'))).toEqual({ path: '/v1/fleet', leak: '[redacted]' });
    expect(file('errors.txt')).toContain('absent.log');
    const kept = file('logs/1-worker.log');
    expect(kept.endsWith('the end\n')).toBe(true);
    expect(kept.startsWith('{"msg"')).toBe(true);
    expect(kept.length).toBeLessThanOrEqual(4 * 2 ** 20 + 1_000_000);
    const all = ['config.json', 'fleet.json', 'metrics.txt', 'logs/1-worker.log', 'errors.txt'].map(file).join('');
    for (const secret of [SECRET, ...KEYS, 'hush', 'abcdefghijkl', JWT, 'not an option'])
      expect(all).not.toContain(secret);
  });

  it('has the metrics and heaps of other processes, asked with the key of the cluster secret', async () => {
    const worker = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { code, out } = await bundled({ SHOAL_SECRET: SECRET, SHOAL_PROCESSES: worker });
    expect(code).toBe(0);
    const folder = `processes/1-${worker.replace(':', '_')}`;
    expect(out).toContain(`${folder}/metrics.txt, ${folder}/heap.json`);
    expect(unpacked()(`${folder}/heap.json`)).toContain('/debug/profile?kind=heap');
    expect(new Set(asked.map((line) => line.slice(line.indexOf(' '))))).toEqual(
      new Set([` Bearer ${operatorKey(SECRET)}`]),
    );
  });

  it('has no answer that is a refusal, and says that it needs a key', async () => {
    status = 401;
    const { code, err } = await bundled({});
    expect(code).toBe(1);
    expect(err).toContain('cannot get /v1/fleet from http://127.0.0.1');
    expect(err).toContain(": 401; set SHOAL_API_KEY to an operator's key");
    expect(() => unpacked()('fleet.json')).toThrow('ENOENT');
  });

  it('has no credentials of URLs and headers, and waits for no pipe', async () => {
    const [log, pipe] = [inDir('coordinator.log'), inDir('pipe')];
    execFileSync('mkfifo', [pipe]);
    const headers = {
      authorization: 'Basic b2xhZjpodXNoaHVzaA==',
      'x-api-key': 'hush-hush-1',
      cookie: ['a=hush-hush-2'],
    };
    const line = { headers, url: 'https://collector/v1?token=hush-hush-3&x=1', said: JSON.stringify(headers) };
    writeFileSync(
      log,
      `${JSON.stringify(line)}\nauthorization: Basic aHVzaC1odXNo\nsent hush-hush-5 and hush-hush-6\n`,
    );
    writeFileSync(inDir('keys.yaml'), 'keys:\n  - { id: a, secret: hush-hush-6, tenant: t }\n');
    const { code, err } = await bundled({
      ...{ SHOAL_LOGS: `${log},${pipe}`, SHOAL_KEYS_FILE: inDir('keys.yaml') },
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://me:hush-hush-4@collector:4318/?token=hush-hush-5',
      OTEL_EXPORTER_OTLP_HEADERS: 'x-a=hush-hush-7',
    });
    expect([code, err]).toEqual([1, expect.stringContaining('pipe is not a regular file')]);
    const file = unpacked();
    expect(file('config.json')).toContain('http://[redacted]@collector:4318/?[redacted]');
    expect(file('logs/1-coordinator.log')).toContain('https://collector/v1?token=[redacted]&x=1');
    expect(file('config.json') + file('logs/1-coordinator.log')).not.toMatch(/hush|b2xhZ|aHVz/);
  });

  it('is written without a coordinator too, and replaces no file', async () => {
    const gone = { SHOAL_URL: 'http://127.0.0.1:1' };
    expect(await bundled(gone)).toMatchObject({ code: 1, err: expect.stringContaining('cannot get /v1/fleet') });
    expect(unpacked()('errors.txt')).toContain('cannot get /metrics');
    expect(await bundled(gone)).toMatchObject({ code: 2, err: expect.stringContaining('--bundle-file') });
  });
});

describe('a file of options', () => {
  it('serves every command that has --config, and its faults are wrong usage', async () => {
    writeFileSync(inDir('shoal.yaml'), `bundle-file: ${inDir('c.tar.gz')}\nreplicas: 5\n`);
    const environment = { SHOAL_CONFIG: inDir('shoal.yaml'), SHOAL_BUNDLE_FILE: '' };
    expect(await bundled(environment)).toMatchObject({ code: 0, out: expect.stringContaining('c.tar.gz') });
    writeFileSync(inDir('shoal.yaml'), 'replicas: lots\n');
    const wrong = await bundled(environment);
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('shoal.yaml:1: replicas: must be') });
  });
});
