/** Forms of OTLP, by the names of OpenTelemetry's specification. */
export const OTLP_PROTOCOLS = ['http/protobuf', 'http/json', 'grpc'] as const;
export type OtlpProtocol = (typeof OTLP_PROTOCOLS)[number];

/** Where a collector is, and how to speak to it. */
export interface OtlpAddress {
  /** Base URL. */
  readonly endpoint: string;
  readonly protocol: OtlpProtocol;
}

/** The address for one kind of data: over HTTP a path of its own, over gRPC the base URL. */
export function otlpUrl({ endpoint, protocol }: OtlpAddress, kind: 'traces' | 'metrics'): string {
  const base = endpoint.replace(/\/+$/, '');
  return protocol === 'grpc' ? base : `${base}/v1/${kind}`;
}

/** Time limit in milliseconds for one request to a collector, and for the last one at the end of the process. */
export const EXPORT_MS = 3_000;
