import * as prometheus from 'prom-client';
import { watchMemoryLimit } from './memory-limit.js';
import type { MetricSeries } from './otlp-records.js';

/** Counters, gauges and histograms, exported as Prometheus text; knows prom-client. */

type Labels<L extends string> = Readonly<Record<L, string>>;

export interface Counter<L extends string = never> {
  /** `by` must not be negative. */
  add(by: number, labels?: Labels<L>): void;
}

export interface Gauge<L extends string = never> {
  set(value: number, labels?: Labels<L>): void;
  add(by: number, labels?: Labels<L>): void;
}

export interface Histogram<L extends string = never> {
  observe(value: number, labels?: Labels<L>): void;
}

/** Name, help text (with the unit) and labels of a metric. */
export interface MetricSpec<L extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly L[];
}

export class MetricsRegistry {
  readonly contentType = prometheus.Registry.PROMETHEUS_CONTENT_TYPE;
  private readonly registry = new prometheus.Registry();

  /** Adds CPU, memory and its limit, event loop and garbage collection of this process. Call it once per process. */
  watchProcess(): void {
    prometheus.collectDefaultMetrics({ register: this.registry });
    watchMemoryLimit(this);
  }

  counter<L extends string = never>(spec: MetricSpec<L>): Counter<L> {
    const counter = new prometheus.Counter<L>(this.options(spec));
    return { add: (by, labels) => (labels ? counter.inc(labels, by) : counter.inc(by)) };
  }

  /** Each scrape first calls `collect`, if given, to set the gauge. */
  gauge<L extends string = never>(spec: MetricSpec<L>, collect?: (gauge: Gauge<L>) => void): Gauge<L> {
    const options = this.options(spec);
    const gauge = new prometheus.Gauge<L>(collect ? { ...options, collect: () => collect(port) } : options);
    const port: Gauge<L> = {
      set: (value, labels) => (labels ? gauge.set(labels, value) : gauge.set(value)),
      add: (by, labels) => (labels ? gauge.inc(labels, by) : gauge.inc(by)),
    };
    return port;
  }

  /** `buckets` are upper bounds, in ascending order. */
  histogram<L extends string = never>(spec: MetricSpec<L> & { readonly buckets: readonly number[] }): Histogram<L> {
    const histogram = new prometheus.Histogram<L>({ ...this.options(spec), buckets: [...spec.buckets] });
    return { observe: (value, labels) => (labels ? histogram.observe(labels, value) : histogram.observe(value)) };
  }

  /** All metrics in Prometheus text format. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  /** All metrics with their series. A histogram has series named `_bucket` (cumulative, with the label `le`), `_sum` and `_count`. */
  async read(): Promise<MetricSeries[]> {
    const found = (await this.registry.getMetricsAsJSON()) as unknown as MetricSeries[];
    return found.map(({ name, help, type, values }) => ({ name, help, type, values }));
  }

  private options<L extends string>({ name, help, labels }: MetricSpec<L>) {
    return { name, help, labelNames: labels ?? [], registers: [this.registry] };
  }
}
