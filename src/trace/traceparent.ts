/** The header `traceparent` of W3C Trace Context (https://www.w3.org/TR/trace-context/), level 1, version 00. */

/** The place in a trace from which another process continues. */
export interface TraceContext {
  /** 32 lower-case hexadecimal digits, not all 0. */
  readonly traceId: string;
  /** 16 lower-case hexadecimal digits, not all 0. */
  readonly spanId: string;
  /** Whether the caller records its spans. */
  readonly sampled: boolean;
}

/** Characters of a `traceparent` of version 00. */
export const TRACEPARENT_CHARS = 55;

const PATTERN = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Reads a header. Null if it is not one: a wrong header starts a new trace, as the recommendation demands, and is not an error. */
export function parseTraceparent(header: string | null): TraceContext | null {
  // Later versions may only append fields.
  const [, version, traceId, spanId, flags, more] = PATTERN.exec(header ?? '') ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return null;
  if (/^0+$/.test(traceId!) || /^0+$/.test(spanId!)) return null;
  return { traceId: traceId!, spanId: spanId!, sampled: (Number.parseInt(flags!, 16) & 1) === 1 };
}

/** The header for a place in a trace. */
export function formatTraceparent({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}
