import type { IncomingHttpHeaders } from 'node:http';
import { NO_SPAN, type Span, type Tracer } from '../../src/trace/span.js';
import { parseTraceparent } from '../../src/trace/traceparent.js';
import type { HttpRoute } from './route.js';

/** A request's part of a trace, by OpenTelemetry's conventions for HTTP. */

export interface RequestSpan {
  readonly span: Span;
  /** Of the span, or, where nothing is recorded, of the client's `traceparent`; null without either. */
  readonly traceId: string | null;
}

/** Begins it. Only requests for tokens are recorded. @param tracer null where nothing is recorded */
export function requestTrace(
  tracer: Tracer | null,
  route: HttpRoute | undefined,
  requestId: string,
  headers: IncomingHttpHeaders,
): RequestSpan {
  const { traceparent = null, tracestate = null } = headers as Readonly<Record<string, string | undefined>>;
  if (tracer === null || !route?.generates) {
    return { span: NO_SPAN, traceId: parseTraceparent(traceparent)?.traceId ?? null };
  }
  const { method, path } = route;
  const attributes = { 'http.request.method': method, 'http.route': path, 'shoal.request_id': requestId };
  const span = tracer.start(`${method} ${path}`, traceparent, attributes, 'server', tracestate);
  return { span, traceId: span.traceId };
}
