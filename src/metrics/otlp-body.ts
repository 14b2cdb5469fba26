/** The body of a request with metrics, as https://opentelemetry.io/docs/specs/otlp/ describes its JSON form. */

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

/** `AGGREGATION_TEMPORALITY_CUMULATIVE` */
const CUMULATIVE = 2;

/** Counters become monotonic sums, histograms explicit buckets, and everything else gauges. */
export function otlpBody(metrics: readonly MetricSeries[], resource: Readonly<Record<string, string>>, times: Times) {
  const scope = { name: 'shoal' };
  const scopeMetrics = [{ scope, metrics: metrics.map((metric) => otlpMetric(metric, times)) }];
  return { resourceMetrics: [{ resource: { attributes: attributes(resource) }, scopeMetrics }] };
}

function otlpMetric({ name, help: description, type, values }: MetricSeries, { startMs, atMs }: Times) {
  const time = { startTimeUnixNano: nanos(startMs), timeUnixNano: nanos(atMs) };
  if (type === 'histogram') {
    const dataPoints = histogramPoints(name, values).map((point) => ({ ...time, ...point }));
    return { name, description, histogram: { aggregationTemporality: CUMULATIVE, dataPoints } };
  }
  const dataPoints = values
    .filter(({ value }) => Number.isFinite(value))
    .map(({ value, labels }) => ({ ...time, attributes: attributes(labels), asDouble: value }));
  return type === 'counter'
    ? { name, description, sum: { aggregationTemporality: CUMULATIVE, isMonotonic: true, dataPoints } }
    : { name, description, gauge: { dataPoints } };
}

interface HistogramPoint {
  readonly attributes: object[];
  /** As text, because they may exceed what a double represents. */
  count: string;
  sum: number;
  readonly explicitBounds: number[];
  /** Not cumulative; the last one has no upper bound. */
  readonly bucketCounts: string[];
}

/** One point for each set of labels, from series whose buckets are cumulative and in ascending order. */
function histogramPoints(name: string, values: MetricSeries['values']): HistogramPoint[] {
  const points = new Map<string, HistogramPoint & { below: number }>();
  for (const { value, labels, metricName } of values) {
    const { le, ...own } = labels;
    const id = JSON.stringify(own);
    const point = points.get(id) ?? {
      ...{ attributes: attributes(own), count: '0', sum: 0, explicitBounds: [], bucketCounts: [], below: 0 },
    };
    points.set(id, point);
    if (metricName === `${name}_sum`) point.sum = value;
    else if (metricName === `${name}_count`) point.count = String(value);
    else {
      point.bucketCounts.push(String(value - point.below));
      point.below = value;
      if (le !== '+Inf') point.explicitBounds.push(Number(le));
    }
  }
  return [...points.values()].map(({ below: _, ...point }) => point);
}

function attributes(labels: SeriesLabels): object[] {
  return Object.entries(labels).map(([key, value]) => ({ key, value: { stringValue: String(value) } }));
}

function nanos(ms: number): string {
  return String(BigInt(Math.round(ms)) * 1_000_000n);
}
