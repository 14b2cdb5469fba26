import { EXPORT_MS, type OtlpAddress, type OtlpProtocol, otlpUrl } from './otlp-address.js';
import type { SpanExporter } from './otlp-tracer.js';

/** Only the package of the protocol is loaded. */
const PACKAGES = {
  'http/protobuf': () => import('@opentelemetry/exporter-trace-otlp-proto'),
  'http/json': () => import('@opentelemetry/exporter-trace-otlp-http'),
  grpc: () => import('@opentelemetry/exporter-trace-otlp-grpc'),
} as const satisfies Record<OtlpProtocol, () => Promise<unknown>>;

/** Makes what sends spans to a collector. It takes headers, compression and certificates from the variables of OpenTelemetry. */
export async function spanExporter(address: OtlpAddress): Promise<SpanExporter> {
  const { OTLPTraceExporter } = await PACKAGES[address.protocol]();
  return new OTLPTraceExporter({ url: otlpUrl(address, 'traces'), timeoutMillis: EXPORT_MS });
}
