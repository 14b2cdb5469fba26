import type { Values } from './options.js';

/** Where spans go. */
export interface TraceConfig {
  /** Base URL of an OpenTelemetry collector. */
  readonly endpoint: string;
  readonly service: string;
  /** Share of the traces that begin here which are recorded, 0 to 1. */
  readonly ratio: number;
}

/** Null: nothing is recorded. */
export function traceConfig({ otlpEndpoint, otlpService, otlpSampling }: Values): TraceConfig | null {
  return otlpEndpoint === null ? null : { endpoint: otlpEndpoint, service: otlpService, ratio: otlpSampling };
}
