import {
  AggregationTemporality,
  type DataPoint,
  DataPointType,
  type Histogram,
  type MetricData,
  type ResourceMetrics,
} from '@opentelemetry/sdk-metrics';
import type { Resource } from '../trace/otlp-resource.js';

/** The records that an exporter of metrics takes. */

export type { ResourceMetrics };

type SeriesLabels = Readonly<Record<string, string | number>>;

export interface MetricSeries {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary';
  readonly values: readonly { readonly value: number; readonly labels: SeriesLabels; readonly metricName?: string }[];
}

interface Times {
  /** Start of the process, and now, in milliseconds of the time of day. */
  readonly startMs: number;
  readonly atMs: number;
}

/** `ValueType.DOUBLE` */
const DOUBLE = 1 as MetricData['descriptor']['valueType'];
const aggregationTemporality = AggregationTemporality.CUMULATIVE;

/** Counters become monotonic sums, histograms explicit buckets, and everything else gauges. */
export function otlpRecords(metrics: readonly MetricSeries[], resource: Resource, times: Times): ResourceMetrics {
  const scopeMetrics = [{ scope: { name: 'shoal' }, metrics: metrics.map((metric) => otlpMetric(metric, times)) }];
  return { resource, scopeMetrics };
}

function otlpMetric({ name, help: description, type, values }: MetricSeries, { startMs, atMs }: Times): MetricData {
  const descriptor = { name, description, unit: '', valueType: DOUBLE };
  const time = { startTime: seconds(startMs), endTime: seconds(atMs) };
  if (type === 'histogram') {
    const dataPoints = histogramPoints(name, values).map((point) => ({ ...time, ...point }));
    return { descriptor, aggregationTemporality, dataPointType: DataPointType.HISTOGRAM, dataPoints };
  }
  const dataPoints = values
    .filter(({ value }) => Number.isFinite(value))
    .map(({ value, labels }) => ({ ...time, attributes: attributes(labels), value }));
  return type === 'counter'
    ? { descriptor, aggregationTemporality, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }
    : { descriptor, aggregationTemporality, dataPointType: DataPointType.GAUGE, dataPoints };
}

type HistogramPoint = Pick<DataPoint<Histogram>, 'attributes' | 'value'>;

/** One point for each set of labels, from series whose buckets are cumulative and in ascending order. */
function histogramPoints(name: string, values: MetricSeries['values']): HistogramPoint[] {
  const points = new Map<string, HistogramPoint & { below: number }>();
  for (const { value, labels, metricName } of values) {
    const { le, ...own } = labels;
    const id = JSON.stringify(own);
    const point = points.get(id) ?? { attributes: attributes(own), value: emptyHistogram(), below: 0 };
    points.set(id, point);
    if (metricName === `${name}_sum`) point.value.sum = value;
    else if (metricName === `${name}_count`) point.value.count = value;
    else {
      point.value.buckets.counts.push(value - point.below);
      point.below = value;
      if (le !== '+Inf') point.value.buckets.boundaries.push(Number(le));
    }
  }
  return [...points.values()].map(({ attributes, value }) => ({ attributes, value }));
}

function emptyHistogram(): Histogram {
  return { count: 0, sum: 0, buckets: { boundaries: [], counts: [] } };
}

function attributes(labels: SeriesLabels): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).map(([key, value]) => [key, String(value)]));
}

/** Seconds, and the nanoseconds beyond them. */
function seconds(ms: number): [number, number] {
  return [Math.floor(ms / 1_000), Math.round((ms % 1_000) * 1e6)];
}
