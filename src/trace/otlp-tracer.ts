import {
  type Context,
  createTraceState,
  SpanKind as OtelKind,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  BatchSpanProcessor,
  RandomIdGenerator,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base';
import { ShoalError } from '../errors.js';
import type { Log } from '../log.js';
import { EXPORT_MS } from './otlp-address.js';
import { type OtlpSource, otlpResource } from './otlp-resource.js';
import { passingSpan, type Span, type SpanAttributes, type SpanKind, type Tracer } from './span.js';
import { formatTraceparent, parseTraceparent, type TraceContext } from './traceparent.js';

/** Records spans with OpenTelemetry's SDK, and gives them to an exporter. */

/** Spans that wait to be sent. Beyond it, new ones are dropped. */
const WAITING_SPANS = 8_192;
/** Spans in one request. */
const BATCH_SPANS = 512;
/** Longest time for which a span waits. */
const BATCH_MS = 1_000;

const KINDS: Record<SpanKind, OtelKind> = {
  internal: OtelKind.INTERNAL,
  server: OtelKind.SERVER,
  client: OtelKind.CLIENT,
};

export type { SpanExporter };

export interface OtlpOptions {
  readonly source: OtlpSource;
  readonly exporter: SpanExporter;
  /** Share of the traces that begin here which are recorded, 0 to 1. Traces that a caller began follow the caller. */
  readonly ratio: number;
  readonly log: Log;
}

/** Records spans, and sends them in the background. A collector that cannot be reached costs only spans. */
export class OtlpTracer implements Tracer {
  /** Share of the traces that begin here from now on which are recorded. */
  ratio: number;
  private readonly ids = new RandomIdGenerator();
  private readonly provider: BasicTracerProvider;

  constructor({ source, exporter, ratio, log }: OtlpOptions) {
    this.ratio = ratio;
    this.provider = new BasicTracerProvider({
      resource: otlpResource(source),
      // Only spans that are recorded reach the SDK: for the others it would take longer than all the rest of a trace.
      sampler: new AlwaysOnSampler(),
      spanProcessors: [
        new BatchSpanProcessor(reporting(exporter, log), {
          maxQueueSize: WAITING_SPANS,
          maxExportBatchSize: BATCH_SPANS,
          scheduledDelayMillis: BATCH_MS,
          exportTimeoutMillis: EXPORT_MS,
        }),
      ],
    });
  }

  start(
    name: string,
    traceparent: string | null,
    attributes: SpanAttributes = {},
    kind: SpanKind = 'internal',
    tracestate: string | null = null,
  ): Span {
    const caller = parseTraceparent(traceparent);
    const isRecorded = caller === null ? Math.random() < this.ratio : caller.sampled;
    // Other processes learn that they need not record theirs.
    if (!isRecorded) return passingSpan(caller ?? this.newTrace());
    return this.begin(caller === null ? ROOT_CONTEXT : contextWithin(caller, tracestate), name, attributes, kind);
  }

  /** Sends what waits, within a time limit. */
  async close(): Promise<void> {
    await this.provider.shutdown().catch(() => {});
  }

  /** A trace of which nothing is recorded. */
  private newTrace(): TraceContext {
    return { traceId: this.ids.generateTraceId(), spanId: this.ids.generateSpanId(), sampled: false };
  }

  private begin(from: Context, name: string, attributes: SpanAttributes, kind: SpanKind): Span {
    const span = this.provider
      .getTracer('shoal')
      .startSpan(name, { kind: KINDS[kind], attributes: attributes as Record<string, string> }, from);
    const own = trace.setSpan(from, span);
    return new RecordedSpan(span, (...child) => this.begin(own, ...child));
  }
}

type Begin = (name: string, attributes: SpanAttributes, kind: SpanKind) => Span;

class RecordedSpan implements Span {
  private over = false;

  constructor(
    private readonly span: OtelSpan,
    private readonly begin: Begin,
  ) {}

  get traceparent(): string {
    return formatTraceparent(contextOf(this.span));
  }

  get traceId(): string {
    return this.span.spanContext().traceId;
  }

  child(name: string, attributes: SpanAttributes = {}, kind: SpanKind = 'internal'): Span {
    return this.begin(name, attributes, kind);
  }

  set(attributes: SpanAttributes): void {
    if (!this.over) this.span.setAttributes(attributes as Record<string, string>);
  }

  end(error?: unknown): void {
    if (this.over) return;
    this.over = true;
    if (error !== undefined && error !== null) {
      this.span.setAttribute('error.type', errorType(error));
      this.span.setStatus({ code: SpanStatusCode.ERROR });
    }
    this.span.end();
  }
}

function contextWithin({ traceId, spanId }: TraceContext, tracestate: string | null): Context {
  const state = tracestate === null ? {} : { traceState: createTraceState(tracestate) };
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: 1, isRemote: true, ...state });
}

function contextOf(span: OtelSpan): TraceContext {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return { traceId, spanId, sampled: (traceFlags & 1) === 1 };
}

function errorType(error: unknown): string {
  if (error instanceof ShoalError) return error.code;
  const name = typeof error === 'object' && error !== null ? (error as { name?: unknown }).name : null;
  return typeof name === 'string' ? name : 'unknown';
}

/** Logs when the collector begins to fail, and when it takes spans again. */
function reporting(exporter: SpanExporter, log: Log): SpanExporter {
  let failing = false;
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        const failed = result.code !== 0;
        if (failed && !failing)
          log.warn({ err: result.error }, 'the collector of traces takes no spans; they are lost until it does');
        if (!failed && failing) log.warn({}, 'the collector of traces takes spans again');
        failing = failed;
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
    forceFlush: async () => exporter.forceFlush?.(),
  };
}
