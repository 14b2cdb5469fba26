import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Clock, SimulatedClock } from '../../../src/clock.js';
import { createLog, type Log, SILENT_LOG } from '../../../src/log.js';
import { metricExporter } from '../../../src/metrics/metric-exporter.js';
import { OtlpMetrics } from '../../../src/metrics/otlp-metrics.js';
import { MetricsRegistry } from '../../../src/metrics/registry.js';
import { OTLP_PROTOCOLS, type OtlpProtocol } from '../../../src/trace/otlp-address.js';
import { otlpResource } from '../../../src/trace/otlp-resource.js';
import { OtlpCollector } from '../../support/otlp-collector.js';

let collector: OtlpCollector;
beforeEach(async () => {
  collector = await OtlpCollector.start();
});
afterEach(async () => {
  await collector.stop();
  vi.unstubAllEnvs();
});

const SOURCE = { service: 'shop', role: 'worker', id: 'w1', version: '1' } as const;
const START_MS = 1_000;

async function sender(protocol: OtlpProtocol, log: Log, clock: Clock = new SimulatedClock()): Promise<OtlpMetrics> {
  const endpoint = protocol === 'grpc' ? collector.grpcUrl : `${collector.url}/`;
  const exporter = await metricExporter({ endpoint, protocol });
  const read = () => registry().read();
  return new OtlpMetrics({ exporter, resource: otlpResource(SOURCE), read, clock, wallMs: () => START_MS, log });
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
  it.each(OTLP_PROTOCOLS)(
    'are sums, gauges and histograms with buckets that are not cumulative, by %s',
    async (protocol) => {
      vi.stubEnv('OTEL_EXPORTER_OTLP_HEADERS', 'authorization=Bearer%20key');
      await (await sender(protocol, SILENT_LOG)).stop();
      const [{ resource, scopeMetrics }] = collector.metrics[0]!.resourceMetrics as [
        (typeof collector.metrics)[number]['resourceMetrics'][number],
      ];
      expect(resource.attributes).toContainEqual({ key: 'service.name', value: { stringValue: 'shop' } });
      const [total, running, queue] = scopeMetrics[0]!.metrics;
      const time = { startTimeUnixNano: '1000000000', timeUnixNano: '1000000000' };
      expect(total).toMatchObject({
        ...{ name: 'shoal_requests_total', description: 'Requests.' },
        sum: {
          ...{ aggregationTemporality: 2, isMonotonic: true },
          dataPoints: [{ ...time, attributes: [{ key: 'status', value: { stringValue: '200' } }], asDouble: 3 }],
        },
      });
      expect(running).toMatchObject({ gauge: { dataPoints: [{ asDouble: 2 }] } });
      const [point] = (queue!.histogram as { dataPoints: readonly Record<string, unknown>[] }).dataPoints;
      expect(queue).toMatchObject({ histogram: { aggregationTemporality: 2 } });
      expect(point).toMatchObject({ sum: 7.6, explicitBounds: [0.1, 1] });
      expect([point!.count, ...(point!.bucketCounts as unknown[])].map(Number)).toEqual([4, 2, 1, 1]);
      expect(collector.headers[0]).toMatchObject({ authorization: 'Bearer key' });
    },
  );

  it('go to the collector again and again, and at the end, and its failures are logged once', async () => {
    const lines: string[] = [];
    const clock = new SimulatedClock();
    const log = createLog({ level: 'info', write: (line) => lines.push(line) });
    const own = await sender('http/protobuf', log, clock);
    own.start();
    await clock.advance(15_000);
    await own.send();
    expect(collector.metrics.length).toBeGreaterThan(0);
    collector.status = 400;
    await own.send();
    await own.send();
    collector.status = 200;
    const before = collector.metrics.length;
    await own.stop();
    expect(collector.metrics).toHaveLength(before + 1);
    // An earlier request may have taken too long.
    expect(lines.slice(-2).map((line) => JSON.parse(line).msg)).toEqual([
      'the collector takes no metrics; they are lost until it does',
      'the collector takes metrics again',
    ]);
  });
});
