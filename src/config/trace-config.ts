import type { OtlpAddress } from '../trace/otlp-address.js';
import type { Values } from './options.js';

/** Where spans go. */
export interface TraceConfig extends OtlpAddress {
  readonly service: string;
  /** Whether metrics are sent, too. */
  readonly metrics: boolean;
  /** Share of the traces that begin here which are recorded, 0 to 1. */
  readonly ratio: number;
}

/** Null: nothing is recorded. */
export function traceConfig(values: Values): TraceConfig | null {
  const { otlpEndpoint: endpoint, otlpProtocol: protocol, otlpService: service } = values;
  if (endpoint === null) return null;
  return { endpoint, protocol, service, metrics: values.otlpMetrics, ratio: values.otlpSampling };
}
