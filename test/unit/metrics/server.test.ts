import { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { SystemClock } from '../../../src/clock.js';
import { Profiler } from '../../../src/debug/profiler.js';
import { MetricsRegistry } from '../../../src/metrics/registry.js';
import { type MetricsServer, startMetricsServer } from '../../../src/metrics/server.js';

describe('the metrics server', () => {
  let server: MetricsServer | undefined;
  afterEach(() => server?.close());

  it('serves metrics and health, and nothing else', async () => {
    const registry = new MetricsRegistry();
    registry.counter({ name: 'shoal_test_total', help: 'A test.' }).add(2);
    let ready = false;
    server = await startMetricsServer({ registry, port: 0, ready: () => ready });
    const status = async (path: string, init?: RequestInit) => (await fetch(server!.url + path, init)).status;

    const metrics = await fetch(`${server.url}/metrics?x=1`);
    expect(metrics.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    expect(await metrics.text()).toContain('shoal_test_total 2');
    expect(await status('/health/live')).toBe(200);
    expect(await status('/health/ready')).toBe(503);
    ready = true;
    expect(await status('/health/ready')).toBe(200);
    expect(await status('/')).toBe(404);
    expect(await status('/metrics', { method: 'POST' })).toBe(405);
  });

  it('gives profiles to operators alone', async () => {
    const debug = { key: 'the key of the operators', profiler: new Profiler(new SystemClock()) };
    server = await startMetricsServer({ registry: new MetricsRegistry(), port: 0, ready: () => true, debug });
    const ask = (query: string, key: string | null) =>
      fetch(`${server!.url}/debug/profile?${query}`, {
        headers: key === null ? {} : { authorization: `Bearer ${key}` },
      });
    expect((await ask('kind=loop', null)).status).toBe(401);
    expect((await ask('kind=loop', 'another key')).status).toBe(401);
    const loop = await ask('kind=loop&seconds=1', debug.key);
    expect(await loop.json()).toMatchObject({ delay_ms: { max: expect.any(Number) } });
    const wrong = await ask('kind=snapshot', debug.key);
    expect([wrong.status, await wrong.text()]).toEqual([400, 'kind: must be one of cpu, heap, loop\n']);
  });

  it('has no profiles without a key', async () => {
    server = await startMetricsServer({ registry: new MetricsRegistry(), port: 0, ready: () => true });
    expect((await fetch(`${server.url}/debug/profile`)).status).toBe(401);
  });

  const raw = (bytes: string) => {
    const { hostname, port } = new URL(server!.url);
    const socket = connect(Number(port), hostname).on('error', () => {});
    socket.end(bytes);
    return text(socket).catch(() => '');
  };
  const HEALTH = 'GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n';

  it('answers one request on a connection, and closes it', async () => {
    server = await startMetricsServer({ registry: new MetricsRegistry(), port: 0, ready: () => true });
    const answers = (await raw(`${HEALTH}\r\n`.repeat(30))).match(/HTTP\/1\.1 \d+/g);
    expect(answers).toEqual(['HTTP/1.1 200']);
  });

  it('does not even parse the requests of a client that sends many at once', async () => {
    server = await startMetricsServer({ registry: new MetricsRegistry(), port: 0, ready: () => true });
    // Node calls it once for each request that it has parsed.
    const parsed = vi.spyOn(IncomingMessage.prototype as unknown as { _addHeaderLines(): void }, '_addHeaderLines');
    await raw(`${HEALTH}\r\n`.repeat(5_000));
    expect(parsed.mock.calls.length).toBeLessThan(40);
    parsed.mockRestore();
    expect(await raw(`${HEALTH}\r\n`)).toContain('HTTP/1.1 200');
  });

  it('refuses bodies without reading them', async () => {
    server = await startMetricsServer({ registry: new MetricsRegistry(), port: 0, ready: () => true });
    const pushed = vi.spyOn(IncomingMessage.prototype, 'push');
    expect(await raw(`${HEALTH}content-length: 5\r\n\r\nhello`)).toContain('HTTP/1.1 413');
    await raw(`${HEALTH}transfer-encoding: chunked\r\n\r\n${'1\r\na\r\n'.repeat(100_000)}`);
    expect(pushed.mock.calls.length).toBeLessThan(1_200);
    pushed.mockRestore();
  });

  it('on loopback answers to no name of a stranger', async () => {
    server = await startMetricsServer({ registry: new MetricsRegistry(), port: 0, ready: () => true });
    const { hostname, port } = new URL(server.url);
    const statusFor = async (host: string) => {
      const socket = connect(Number(port), hostname);
      socket.end(`GET /metrics HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
      return /^HTTP\/1\.1 (\d+)/.exec(await text(socket))?.[1];
    };
    expect(await statusFor(`evil.example:${port}`)).toBe('403');
    expect(await statusFor(`localhost:${port}`)).toBe('200');
    expect(await statusFor(`127.0.0.1:${port}`)).toBe('200');
  });

  it('rejects if its port is in use', async () => {
    const options = { registry: new MetricsRegistry(), ready: () => true };
    server = await startMetricsServer({ ...options, port: 0 });
    await expect(startMetricsServer({ ...options, port: Number(new URL(server.url).port) })).rejects.toThrow(
      'EADDRINUSE',
    );
  });
});
