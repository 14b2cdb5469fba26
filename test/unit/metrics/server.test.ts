import { afterEach, describe, expect, it } from 'vitest';
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

  it('rejects if its port is in use', async () => {
    const options = { registry: new MetricsRegistry(), ready: () => true };
    server = await startMetricsServer({ ...options, port: 0 });
    await expect(startMetricsServer({ ...options, port: Number(new URL(server.url).port) })).rejects.toThrow(
      'EADDRINUSE',
    );
  });
});
