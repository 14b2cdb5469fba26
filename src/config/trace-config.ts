import type { Values } from './options.js';

/** Where spans go. */
export interface TraceConfig {
  /** Base URL of an OpenTelemetry collector. */
  readonly endpoint: string;
  readonly service: string;
  /** Whether metrics are sent, too. */
  readonly metrics: boolean;
  /** Share of the traces that begin here which are recorded, 0 to 1. */
  readonly ratio: number;
}

/** Null: nothing is recorded. */
export function traceConfig({ otlpEndpoint, otlpMetrics, otlpService, otlpSampling }: Values): TraceConfig | null {
  if (otlpEndpoint === null) return null;
  return { endpoint: otlpEndpoint, service: otlpService, metrics: otlpMetrics, ratio: otlpSampling };
}
