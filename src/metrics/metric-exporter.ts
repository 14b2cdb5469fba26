import { EXPORT_MS, type OtlpAddress, type OtlpProtocol, otlpUrl } from '../trace/otlp-address.js';
import type { ResourceMetrics } from './otlp-records.js';

/** Sends metrics to a collector. */
export interface MetricExporter {
  export(metrics: ResourceMetrics, done: (result: { readonly code: number; readonly error?: Error }) => void): void;
  shutdown(): Promise<void>;
}

/** Only the package of the protocol is loaded. */
const PACKAGES = {
  'http/protobuf': () => import('@opentelemetry/exporter-metrics-otlp-proto'),
  'http/json': () => import('@opentelemetry/exporter-metrics-otlp-http'),
  grpc: () => import('@opentelemetry/exporter-metrics-otlp-grpc'),
} as const satisfies Record<OtlpProtocol, () => Promise<unknown>>;

/** Makes what sends metrics to a collector. It takes headers, compression and certificates from the variables of OpenTelemetry. */
export async function metricExporter(address: OtlpAddress): Promise<MetricExporter> {
  const { OTLPMetricExporter } = await PACKAGES[address.protocol]();
  return new OTLPMetricExporter({ url: otlpUrl(address, 'metrics'), timeoutMillis: EXPORT_MS });
}
