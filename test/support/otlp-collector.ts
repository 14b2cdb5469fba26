import { createServer, type Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { decodeMetrics, decodeTraces } from './otlp-protobuf.js';

/** A collector of OTLP in JSON and protobuf over HTTP, and in protobuf over gRPC, as https://opentelemetry.io/docs/specs/otlp/ describes it. */

export interface CollectedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the first span of a trace. */
  readonly parentSpanId: string;
  /** Empty without one. */
  readonly traceState: string;
  readonly kind: number;
  readonly failed: boolean;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Attributes of the process. */
  readonly resource: Readonly<Record<string, unknown>>;
}

interface WireValue {
  readonly stringValue?: string;
  readonly intValue?: string | number;
  readonly doubleValue?: number;
  readonly boolValue?: boolean;
  readonly arrayValue?: { readonly values?: readonly WireValue[] };
}

interface WireAttribute {
  readonly key: string;
  readonly value: WireValue;
}

interface WireSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly kind: number;
  readonly status?: { readonly code?: number };
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: readonly WireAttribute[];
}

interface WireBatch {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly WireAttribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly WireSpan[] }[];
  }[];
}

/** A request with metrics, in the form that it has in JSON. */
interface MetricsBatch {
  readonly resourceMetrics: readonly {
    readonly resource: { readonly attributes: readonly WireAttribute[] };
    readonly scopeMetrics: readonly { readonly metrics: readonly Readonly<Record<string, unknown>>[] }[];
  }[];
}

/** Paths of the services of gRPC, and those of HTTP. */
const PATHS: Record<string, 'traces' | 'metrics'> = {
  '/v1/traces': 'traces',
  '/v1/metrics': 'metrics',
  '/opentelemetry.proto.collector.trace.v1.TraceService/Export': 'traces',
  '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export': 'metrics',
};

export class OtlpCollector {
  readonly spans: CollectedSpan[] = [];
  readonly metrics: MetricsBatch[] = [];
  /** The bodies as they came. */
  readonly bodies: string[] = [];
  readonly headers: Record<string, unknown>[] = [];
  /** The status of its answers over HTTP; over gRPC each but 200 is an error. */
  status = 200;

  private constructor(
    private readonly server: Server,
    private readonly grpc: Http2Server,
  ) {}

  static async start(): Promise<OtlpCollector> {
    const [server, grpc] = [createServer(), createHttp2Server()];
    const collector = new OtlpCollector(server, grpc);
    server.on('request', (request, response) => {
      collected(request, (body) => {
        collector.take(request.url!, request.headers, body);
        response.writeHead(collector.status, { 'content-type': request.headers['content-type'] });
        // A message without fields has no bytes.
        response.end(request.headers['content-type'] === 'application/json' ? '{}' : '');
      });
    });
    grpc.on('stream', (stream, headers) => {
      collected(stream, (body) => {
        collector.take(String(headers[':path']), headers, unframed(body));
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': collector.status === 200 ? '0' : '3' }));
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.end(Buffer.alloc(5));
      });
    });
    for (const each of [server, grpc]) await new Promise<void>((resolve) => each.listen(0, '127.0.0.1', resolve));
    return collector;
  }

  get url(): string {
    return urlOf(this.server);
  }

  /** For gRPC. */
  get grpcUrl(): string {
    return urlOf(this.grpc);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await Promise.all([this.server, this.grpc].map((each) => new Promise((resolve) => each.close(resolve))));
  }

  private take(path: string, headers: Readonly<Record<string, unknown>>, body: Buffer): void {
    this.headers.push({ ...headers, path });
    if (this.status !== 200) return;
    this.bodies.push(body.toString());
    const kind = PATHS[path];
    if (kind === undefined) throw new Error(`a collector has no path ${path}`);
    const isJson = headers['content-type'] === 'application/json';
    if (isJson) this.add(kind, JSON.parse(body.toString()));
    else this.add(kind, kind === 'traces' ? decodeTraces(body) : decodeMetrics(body));
  }

  private add(kind: 'traces' | 'metrics', batch: unknown): void {
    if (kind === 'metrics') {
      this.metrics.push(batch as MetricsBatch);
      return;
    }
    for (const { resource, scopeSpans } of (batch as WireBatch).resourceSpans) {
      const process = attributesOf(resource.attributes);
      for (const { spans } of scopeSpans) this.spans.push(...spans.map((span) => spanOf(span, process)));
    }
  }
}

function collected(stream: Readable, done: (body: Buffer) => void): void {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => done(Buffer.concat(chunks)));
}

/** The message of a call of gRPC with one: a byte for the compression, four for the length, and the message. */
function unframed(body: Buffer): Buffer {
  if (body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5) throw new Error('not one plain message of gRPC');
  return body.subarray(5);
}

function urlOf(server: Server | Http2Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function spanOf(span: WireSpan, resource: CollectedSpan['resource']): CollectedSpan {
  const { name, traceId, spanId, kind, parentSpanId = '', traceState = '' } = span;
  return {
    ...{ name, traceId, spanId, kind, parentSpanId, traceState, resource },
    failed: span.status?.code === 2,
    startNs: BigInt(span.startTimeUnixNano),
    endNs: BigInt(span.endTimeUnixNano),
    attributes: attributesOf(span.attributes ?? []),
  };
}

function attributesOf(attributes: readonly WireAttribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, plainValue(value)]));
}

function plainValue({ stringValue, intValue, doubleValue, boolValue, arrayValue }: WireValue): unknown {
  if (arrayValue) return (arrayValue.values ?? []).map(plainValue);
  return stringValue ?? (intValue === undefined ? (doubleValue ?? boolValue) : Number(intValue));
}
