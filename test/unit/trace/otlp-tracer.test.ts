import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Unavailable } from '../../../src/errors.js';
import { Lifecycle } from '../../../src/lifecycle.js';
import { createLog, SILENT_LOG } from '../../../src/log.js';
import { Reloads } from '../../../src/reload.js';
import { openTracer } from '../../../src/trace/open-tracer.js';
import { OTLP_PROTOCOLS, type OtlpProtocol } from '../../../src/trace/otlp-address.js';
import { OtlpTracer } from '../../../src/trace/otlp-tracer.js';
import { NO_SPAN, PASSING_TRACER } from '../../../src/trace/span.js';
import { spanExporter } from '../../../src/trace/span-exporter.js';
import { OtlpCollector } from '../../support/otlp-collector.js';

const CALLER = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const CONTENT_TYPES: Record<OtlpProtocol, string> = {
  'http/protobuf': 'application/x-protobuf',
  'http/json': 'application/json',
  grpc: 'application/grpc',
};
const UNSAMPLED = CALLER.replace(/01$/, '00');

let collector: OtlpCollector;
beforeEach(async () => {
  collector = await OtlpCollector.start();
});
afterEach(() => collector.stop());

const SOURCE = { service: 'shop', role: 'worker', id: 'w1', version: '1.2.3' } as const;
const addressOf = (protocol: OtlpProtocol) => ({
  endpoint: protocol === 'grpc' ? collector.grpcUrl : `${collector.url}/`,
  protocol,
});
const tracer = async (ratio = 1, log = SILENT_LOG, protocol: OtlpProtocol = 'http/protobuf') =>
  new OtlpTracer({ source: SOURCE, exporter: await spanExporter(addressOf(protocol)), ratio, log });

describe('the tracer', () => {
  it.each(OTLP_PROTOCOLS)(
    'sends spans, their parts and their attributes by %s, and goes on with the trace of the caller',
    async (protocol) => {
      const own = await tracer(1, SILENT_LOG, protocol);
      const span = own.start('outer', CALLER, { 'shoal.peer': 'w2', n: 3, list: ['a'] }, 'server', 'shop=1,b=2');
      const part = span.child('inner');
      part.end(new Unavailable('a text that may repeat a prompt'));
      span.set({ late: true });
      span.end();
      span.set({ after: 1 });
      span.end();
      await own.close();
      const [inner, outer] = collector.spans;
      expect(collector.spans).toHaveLength(2);
      expect(outer).toMatchObject({ name: 'outer', parentSpanId: '00f067aa0ba902b7', kind: 2, failed: false });
      expect(outer!.attributes).toEqual({ 'shoal.peer': 'w2', n: 3, list: ['a'], late: true });
      expect(inner).toMatchObject({ name: 'inner', parentSpanId: outer!.spanId, traceId: CALLER.slice(3, 35) });
      expect([outer, inner].map((each) => each!.traceState)).toEqual(['shop=1,b=2', 'shop=1,b=2']);
      expect(inner).toMatchObject({ failed: true, attributes: { 'error.type': 'unavailable' } });
      expect(outer!.resource).toMatchObject({
        ...{ 'service.name': 'shop', 'service.instance.id': 'w1', 'service.version': '1.2.3', 'shoal.role': 'worker' },
      });
      expect(collector.bodies.join()).not.toContain('repeat a prompt');
      expect(collector.headers[0]).toMatchObject({ 'content-type': CONTENT_TYPES[protocol] });
    },
  );

  it('follows the decision of the caller, and else takes the share that it was told', async () => {
    const [none, all] = [await tracer(0), await tracer(1)];
    const unsampled = all.start('a', UNSAMPLED);
    expect(unsampled.child('b').traceparent).toMatch(/^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-00$/);
    unsampled.end();
    none.start('c', null).end();
    none.start('d', CALLER).end();
    all.start('e', 'nonsense').end();
    await Promise.all([none.close(), all.close()]);
    expect(collector.spans.map(({ name }) => name).toSorted()).toEqual(['d', 'e']);
  });

  it('takes another share while it runs', async () => {
    const reloads = new Reloads();
    const config = { ...addressOf('http/json'), service: 'shop', metrics: false, ratio: 0 };
    const recorder = { role: 'worker', id: 'w1', version: '1', log: SILENT_LOG, reloads } as const;
    const own = (await openTracer(new Lifecycle(), config, recorder)) as OtlpTracer;
    own.start('before', null).end();
    await reloads.run({ logLevel: 'info', traceRatio: 1 });
    own.start('after', null).end();
    await own.close();
    expect(collector.spans.map(({ name }) => name)).toEqual(['after']);
  });

  it('loses spans while the collector fails, and says so once', async () => {
    const lines: string[] = [];
    const own = await tracer(1, createLog({ level: 'warn', write: (line) => lines.push(line) }));
    collector.status = 400;
    own.start('lost', null).end();
    await own.close();
    expect(collector.spans).toEqual([]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('the collector of traces takes no spans');
  });

  it('is not there without a collector: spans are not made, and traces of callers are handed on', async () => {
    const recorder = { role: 'worker', id: 'w1', version: '1', log: SILENT_LOG, reloads: new Reloads() } as const;
    expect(await openTracer(new Lifecycle(), null, recorder)).toBeNull();
    const span = PASSING_TRACER.start('a', CALLER);
    expect([span.traceparent, span.child('b').traceId]).toEqual([CALLER, CALLER.slice(3, 35)]);
    expect(PASSING_TRACER.start('a', null)).toBe(NO_SPAN);
    expect(NO_SPAN.child('b')).toBe(NO_SPAN);
  });
});
