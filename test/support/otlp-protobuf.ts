/**
 * Reads requests of OTLP in protobuf, by https://protobuf.dev/programming-guides/encoding/ and the field numbers of
 * https://github.com/open-telemetry/opentelemetry-proto, into the form that they have in JSON. It shares no code with what writes them.
 */

type Reader = (field: Field) => unknown;

interface Field {
  /** Of a variable-length integer. */
  readonly integer: bigint;
  /** Of everything else. */
  readonly bytes: Buffer;
}

interface Member {
  readonly name: string;
  readonly read: Reader;
  readonly many?: boolean;
}

/** The members of a message by their numbers. */
type Shape = Readonly<Record<number, Member>>;

const text: Reader = ({ bytes }) => bytes.toString('utf8');
const hex: Reader = ({ bytes }) => bytes.toString('hex');
const integer: Reader = ({ integer }) => Number(integer);
const bool: Reader = ({ integer }) => integer !== 0n;
const fixed64: Reader = ({ bytes }) => String(bytes.readBigUInt64LE());
const double: Reader = ({ bytes }) => bytes.readDoubleLE();
const packed =
  (read: Reader): Reader =>
  ({ bytes }) =>
    Array.from({ length: bytes.length / 8 }, (_, i) => read({ integer: 0n, bytes: bytes.subarray(8 * i, 8 * i + 8) }));
const message =
  (shape: () => Shape): Reader =>
  ({ bytes }) =>
    decode(bytes, shape());

const one = (name: string, read: Reader): Member => ({ name, read });
const list = (name: string, read: Reader): Member => ({ name, read, many: true });

const VALUE: Shape = {
  1: one('stringValue', text),
  2: one('boolValue', bool),
  3: one('intValue', integer),
  4: one('doubleValue', double),
  5: one(
    'arrayValue',
    message(() => ({
      1: list(
        'values',
        message(() => VALUE),
      ),
    })),
  ),
};
const ATTRIBUTES = list(
  'attributes',
  message(() => ({
    1: one('key', text),
    2: one(
      'value',
      message(() => VALUE),
    ),
  })),
);
const RESOURCE = one(
  'resource',
  message(() => ({ 1: ATTRIBUTES })),
);

const SPAN: Shape = {
  1: one('traceId', hex),
  2: one('spanId', hex),
  3: one('traceState', text),
  4: one('parentSpanId', hex),
  5: one('name', text),
  6: one('kind', integer),
  7: one('startTimeUnixNano', fixed64),
  8: one('endTimeUnixNano', fixed64),
  9: ATTRIBUTES,
  15: one(
    'status',
    message(() => ({ 3: one('code', integer) })),
  ),
};
const SCOPE_SPANS: Shape = {
  2: list(
    'spans',
    message(() => SPAN),
  ),
};
const TRACES: Shape = {
  1: list(
    'resourceSpans',
    message(() => ({
      1: RESOURCE,
      2: list(
        'scopeSpans',
        message(() => SCOPE_SPANS),
      ),
    })),
  ),
};

const TIMES: Shape = { 2: one('startTimeUnixNano', fixed64), 3: one('timeUnixNano', fixed64) };
const NUMBER: Shape = { ...TIMES, 4: one('asDouble', double), 7: ATTRIBUTES };
const HISTOGRAM: Shape = {
  ...TIMES,
  4: one('count', fixed64),
  5: one('sum', double),
  6: one('bucketCounts', packed(fixed64)),
  7: one('explicitBounds', packed(double)),
  9: ATTRIBUTES,
};
const points = (shape: Shape): Shape => ({
  1: list(
    'dataPoints',
    message(() => shape),
  ),
  2: one('aggregationTemporality', integer),
  3: one('isMonotonic', bool),
});
const METRIC: Shape = {
  1: one('name', text),
  2: one('description', text),
  5: one(
    'gauge',
    message(() => points(NUMBER)),
  ),
  7: one(
    'sum',
    message(() => points(NUMBER)),
  ),
  9: one(
    'histogram',
    message(() => points(HISTOGRAM)),
  ),
};
const SCOPE_METRICS: Shape = {
  2: list(
    'metrics',
    message(() => METRIC),
  ),
};
const METRICS: Shape = {
  1: list(
    'resourceMetrics',
    message(() => ({
      1: RESOURCE,
      2: list(
        'scopeMetrics',
        message(() => SCOPE_METRICS),
      ),
    })),
  ),
};

/** An `ExportTraceServiceRequest`. @throws if it is not one */
export const decodeTraces = (body: Buffer): unknown => decode(body, TRACES);
/** An `ExportMetricsServiceRequest`. @throws if it is not one */
export const decodeMetrics = (body: Buffer): unknown => decode(body, METRICS);

/** Fields with numbers that `shape` lacks are left out. */
function decode(bytes: Buffer, shape: Shape): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const { number, ...field } of fields(bytes)) {
    const member = shape[number];
    if (member === undefined) continue;
    const value = member.read(field);
    if (member.many) found[member.name] = [...((found[member.name] as unknown[] | undefined) ?? []), value];
    else found[member.name] = value;
  }
  return found;
}

function* fields(bytes: Buffer): Generator<Field & { readonly number: number }> {
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 63n) throw new Error(`not protobuf: an integer has no end at byte ${at}`);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const take = (count: number) => {
    if (at + count > bytes.length) throw new Error(`not protobuf: ${count} bytes wanted at byte ${at}`);
    at += count;
    return bytes.subarray(at - count, at);
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const number = tag >>> 3;
    if ((tag & 7) === 0) yield { number, integer: varint(), bytes: bytes.subarray(at, at) };
    else if ((tag & 7) === 1) yield { number, integer: 0n, bytes: take(8) };
    else if ((tag & 7) === 2) yield { number, integer: 0n, bytes: take(Number(varint())) };
    else if ((tag & 7) === 5) yield { number, integer: 0n, bytes: take(4) };
    else throw new Error(`not protobuf: wire type ${tag & 7} at byte ${at}`);
  }
}
