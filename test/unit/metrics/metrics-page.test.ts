import { fileURLToPath } from 'node:url';
import { describe, it } from 'vitest';
import { AdapterMetrics } from '../../../src/metrics/adapter-metrics.js';
import { callCounter } from '../../../src/metrics/call-counter.js';
import { CoordinatorMetrics } from '../../../src/metrics/coordinator-metrics.js';
import { watchFleet, watchQuarantine, watchRecommendation, watchStore } from '../../../src/metrics/fleet-metrics.js';
import { ObjectMetrics } from '../../../src/metrics/object-metrics.js';
import { RedisMetrics } from '../../../src/metrics/redis-metrics.js';
import {
  type Counter,
  type Gauge,
  type Histogram,
  type MetricSpec,
  MetricsRegistry,
} from '../../../src/metrics/registry.js';
import { RuntimeMetrics } from '../../../src/metrics/runtime-metrics.js';
import { WorkerMetrics } from '../../../src/metrics/worker-metrics.js';
import { expectParts } from '../../support/marked-page.js';

const PAGE = fileURLToPath(new URL('../../../docs/METRICS.md', import.meta.url));

/** A registry that writes a row of the table for each metric. */
class Described extends MetricsRegistry {
  readonly rows: string[] = [];

  override counter<L extends string = never>(spec: MetricSpec<L>): Counter<L> {
    this.describe('counter', spec);
    return super.counter(spec);
  }

  override gauge<L extends string = never>(spec: MetricSpec<L>, collect?: (gauge: Gauge<L>) => void): Gauge<L> {
    this.describe('gauge', spec);
    return super.gauge(spec, collect);
  }

  override histogram<L extends string = never>(
    spec: MetricSpec<L> & { readonly buckets: readonly number[] },
  ): Histogram<L> {
    this.describe('histogram', spec);
    return super.histogram(spec);
  }

  private describe(kind: string, { name, help, labels = [] }: MetricSpec<string>): void {
    const named = labels.map((label) => `\`${label}\``).join(', ');
    this.rows.push(`| \`${name}\` | ${kind} | ${named} | ${help.replaceAll('|', '\\|')} |`);
  }
}

function table(describe: (registry: MetricsRegistry) => void): string {
  const registry = new Described();
  describe(registry);
  return ['| metric | kind | labels | |', '| --- | --- | --- | --- |', ...registry.rows.sort()].join('\n');
}

const fleetView = () => ({ epoch: '', workers: [], natsConnected: true });

describe('docs/METRICS.md', () => {
  it('has the metrics of each role (npm run docs writes them)', async () => {
    await expectParts(PAGE, {
      'coordinator metrics': table((registry) => {
        new CoordinatorMetrics(registry);
        watchFleet(registry, fleetView);
        watchRecommendation(registry, () => 1);
        watchStore(registry, () => null);
      }),
      'worker metrics': table((registry) => {
        const worker = new WorkerMetrics(registry);
        worker.watchCache(() => []);
        worker.watchDisk(() => false);
        watchFleet(registry, fleetView);
        watchQuarantine(registry, () => []);
        new AdapterMetrics(registry, () => ({ adapters: 0, bytes: 0, budgetBytes: 0 }));
        new ObjectMetrics(registry, () => ({
          objects: 0,
          bytes: 0,
          budgetBytes: 0,
          owedCopies: 0,
          disk: { bytes: 0, budgetBytes: 0 },
        }));
      }),
      'Redis metrics': table((registry) => new RedisMetrics(registry, () => 0)),
      'node metrics': table((registry) => {
        new RuntimeMetrics(registry, () => []);
        callCounter(registry);
      }),
    });
  });
});
