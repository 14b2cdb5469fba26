import { formatTraceparent, parseTraceparent, type TraceContext } from './traceparent.js';

/**
 * The port for traces: the parts of a request, and their durations. A span holds names, sizes and times. It never holds texts, tokens, keys,
 * salts or error messages, which may repeat a client's text.
 */

type AttributeValue = string | number | boolean | readonly string[];
export type SpanAttributes = Readonly<Record<string, AttributeValue>>;

/** `server`: answers another process. `client`: waits for another process. */
export type SpanKind = 'internal' | 'server' | 'client';

/** A part of the work for one request. Its methods return quickly and never throw. */
export interface Span {
  /** The header with which another process continues the trace; null without one. */
  readonly traceparent: string | null;
  /** For logs; null without a trace. */
  readonly traceId: string | null;
  /** Begins a part of this part. */
  child(name: string, attributes?: SpanAttributes, kind?: SpanKind): Span;
  /** Adds attributes, or replaces them. */
  set(attributes: SpanAttributes): void;
  /** Ends it now. Of an error only the class is kept. Later calls have no effect. */
  end(error?: unknown): void;
}

export interface Tracer {
  /**
   * Begins a part of the work that no part in this process belongs to.
   * @param traceparent of the caller, perhaps malformed; null for a new trace
   * @param tracestate of the caller, perhaps malformed, which the recorded parts keep
   */
  start(
    name: string,
    traceparent: string | null,
    attributes?: SpanAttributes,
    kind?: SpanKind,
    tracestate?: string | null,
  ): Span;
}

/** Records nothing. */
export const NO_SPAN: Span = {
  traceparent: null,
  traceId: null,
  child: () => NO_SPAN,
  set: () => {},
  end: () => {},
};

/** Records nothing, and hands on the traces of callers. */
export const PASSING_TRACER: Tracer = {
  start: (_, traceparent) => {
    const context = parseTraceparent(traceparent);
    return context === null ? NO_SPAN : passingSpan(context);
  },
};

/** A span that is not recorded, in a trace that others may record: the parts of it are none of their own. */
export function passingSpan(context: TraceContext): Span {
  const span: Span = {
    ...NO_SPAN,
    traceparent: formatTraceparent(context),
    traceId: context.traceId,
    child: () => span,
  };
  return span;
}
