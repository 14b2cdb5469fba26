import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import { createLog } from '../../../src/log.js';
import { otlpBody } from '../../../src/metrics/otlp-body.js';
import { OtlpMetrics } from '../../../src/metrics/otlp-metrics.js';
import { MetricsRegistry } from '../../../src/metrics/registry.js';

async function collector() {
  const bodies: unknown[] = [];
  const headers: Record<string, unknown>[] = [];
  const state = { status: 200 };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      bodies.push(JSON.parse(Buffer.concat(chunks).toString()));
      headers.push({ ...request.headers, path: request.url });
      response.writeHead(state.status).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { bodies, headers, state, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

function registry(): MetricsRegistry {
  const registry = new MetricsRegistry();
  const requests = registry.counter({ name: 'shoal_requests_total', help: 'Requests.', labels: ['status'] });
  requests.add(3, { status: '200' });
  registry.gauge({ name: 'shoal_requests_running', help: 'Running.' }).set(2);
  const seconds = registry.histogram({ name: 'shoal_queue_seconds', help: 'Queue.', buckets: [0.1, 1] });
  for (const value of [0.05, 0.05, 0.5, 7]) seconds.observe(value);
  return registry;
}

describe('metrics by OTLP', () => {
  it('are sums, gauges and histograms with buckets that are not cumulative', async () => {
    const body = otlpBody(await registry().read(), { 'service.name': 'shop' }, { startMs: 1_000, atMs: 2_000 });
    const [{ resource, scopeMetrics }] = body.resourceMetrics as [(typeof body.resourceMetrics)[number]];
    expect(resource.attributes).toEqual([{ key: 'service.name', value: { stringValue: 'shop' } }]);
    const [total, running, queue] = scopeMetrics[0]!.metrics;
    const time = { startTimeUnixNano: '1000000000', timeUnixNano: '2000000000' };
    expect(total).toEqual({
      ...{ name: 'shoal_requests_total', description: 'Requests.' },
      sum: {
        ...{ aggregationTemporality: 2, isMonotonic: true },
        dataPoints: [{ ...time, attributes: [{ key: 'status', value: { stringValue: '200' } }], asDouble: 3 }],
      },
    });
    expect(running).toMatchObject({ gauge: { dataPoints: [{ asDouble: 2 }] } });
    expect(queue).toMatchObject({
      histogram: {
        aggregationTemporality: 2,
        dataPoints: [{ count: '4', sum: 7.6, explicitBounds: [0.1, 1], bucketCounts: ['2', '1', '1'] }],
      },
    });
  });

  it('go to the collector again and again, and at the end, with the headers that it wants', async () => {
    const { bodies, headers, state, url } = await collector();
    const lines: string[] = [];
    const clock = new SimulatedClock();
    const read = () => registry().read();
    const sender = new OtlpMetrics({
      ...{ endpoint: `${url}/`, headers: 'authorization=Bearer%20key, nonsense', resource: {}, read, clock },
      ...{ wallMs: () => 5, log: createLog({ level: 'info', write: (line) => lines.push(line) }) },
    });
    sender.start();
    await clock.advance(15_000);
    await sender.stop();
    expect(bodies).toHaveLength(2);
    expect(headers[0]).toMatchObject({ path: '/v1/metrics', authorization: 'Bearer key' });
    state.status = 500;
    await sender.stop();
    await sender.stop();
    state.status = 200;
    await sender.stop();
    // An earlier request may have taken too long.
    expect(lines.slice(-2).map((line) => JSON.parse(line).msg)).toEqual([
      'the collector takes no metrics; they are lost until it does',
      'the collector takes metrics again',
    ]);
  });
});
