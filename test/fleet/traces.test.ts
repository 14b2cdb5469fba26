import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { type CollectedSpan, OtlpCollector } from '../support/otlp-collector.js';
import { Fleet } from './support/fleet.js';

/** Long sheets, so that blocks have homes other than the worker that computed them. */
const sheets = [51, 52, 53, 54].map((seed) => recallSheet(40, seed));
const prompts = sheets.map((sheet) => recallPrompt(sheet, sheet.questions[0]!.question));

const traceOf = (n: number) => String(n).padStart(32, 'a');
const callerOf = (n: number, flags = '01') => `00-${traceOf(n)}-00f067aa0ba902b7-${flags}`;

let collector: OtlpCollector;
let fleet: Fleet;

beforeEach(async () => {
  collector = await OtlpCollector.start();
});
afterEach(async () => {
  await fleet?.stop();
  await collector.stop();
});

const roleOf = ({ resource }: CollectedSpan) => `${resource['shoal.role']}:${resource['service.instance.id']}`;
const named = (spans: readonly CollectedSpan[], name: string) => spans.filter((span) => span.name === name);

/** Every span but the first has its parent in the trace, and lies in time after the beginning of its parent. */
function checkTree(spans: readonly CollectedSpan[]): void {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  for (const { name, parentSpanId, startNs, endNs } of spans) {
    const parent = byId.get(parentSpanId);
    if (parent === undefined) expect([name, parentSpanId]).toEqual(['POST /v1/completions', '00f067aa0ba902b7']);
    else expect(startNs, name).toBeGreaterThanOrEqual(parent.startNs - 2_000_000n);
    expect(endNs).toBeGreaterThanOrEqual(startNs);
  }
}

function logLines(): Record<string, unknown>[] {
  const lines = fleet.log.split('\n').filter((line) => line.includes('{'));
  return lines.flatMap((line) => {
    try {
      return [JSON.parse(line.slice(line.indexOf('{'))) as Record<string, unknown>];
    } catch {
      return [];
    }
  });
}

describe('traces', () => {
  it('show the way of a request from HTTP to the copies of its blocks, over coordinator and workers, without texts', async () => {
    const args = ['--workers', '3', '--fetch', 'always', '--log-level', 'info', '--otlp-endpoint', collector.url];
    fleet = await Fleet.up(args, { OTEL_SERVICE_NAME: 'orchard' });
    for (const [n, prompt] of prompts.entries()) {
      await fleet.complete({ prompt }, { 'x-shoal-worker': 'worker-1', traceparent: callerOf(n) });
    }
    await fleet.until((workers) => workers.some(({ id, blocks }) => id !== 'worker-1' && blocks > 0));
    for (const worker of ['worker-2', 'worker-3']) {
      for (const [n, prompt] of prompts.entries()) {
        await fleet.complete({ prompt }, { 'x-shoal-worker': worker, traceparent: callerOf(10 + n) });
      }
    }
    await fleet.complete({ prompt: prompts[0] }, { traceparent: callerOf(90, '00') });
    const message = { model: 'recall', max_tokens: 1, messages: [{ role: 'user', content: 'Hello' }] };
    expect((await fleet.post('/v1/messages', message, { traceparent: callerOf(80) })).status).toBe(200);
    await fleet.stop();
    const ofTrace = (n: number) => collector.spans.filter(({ traceId }) => traceId === traceOf(n));
    const first = ofTrace(0);
    checkTree(first);
    const names = [
      ...['POST /v1/completions', 'text_completion recall', 'shoal.place', 'shoal.attempt', 'shoal.generate'],
      ...['shoal.queue', 'shoal.prefix', 'shoal.prefill', 'shoal.prefill.chunk', 'shoal.decode'],
    ];
    expect(first.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
    expect(named(first, 'shoal.place').map(roleOf)).toEqual(['coordinator:coordinator-1']);
    expect(named(first, 'shoal.generate').map(roleOf)).toEqual(['worker:worker-1']);
    expect(first[0]!.resource['service.name']).toBe('orchard');
    const [genAi] = named(first, 'text_completion recall');
    expect(genAi!.attributes).toMatchObject({
      ...{
        'gen_ai.operation.name': 'text_completion',
        'gen_ai.request.model': 'recall',
        'gen_ai.request.max_tokens': 32,
      },
      ...{ 'gen_ai.response.finish_reasons': ['stop'], 'shoal.worker': 'worker-1', 'gen_ai.provider.name': 'shoal' },
    });
    expect(genAi!.attributes['gen_ai.usage.input_tokens']).toBe(genAi!.attributes['shoal.computed']);
    const chunks = named(first, 'shoal.prefill.chunk').map(({ attributes }) => attributes['shoal.to']);
    expect(Math.max(...chunks.map(Number))).toBe(genAi!.attributes['gen_ai.usage.input_tokens']);

    const copies = [0, 1, 2, 3].flatMap((n) => named(ofTrace(n), 'shoal.replicate'));
    expect(copies.reduce((sum, { attributes }) => sum + Number(attributes['shoal.blocks']), 0)).toBeGreaterThan(0);
    const later = [10, 11, 12, 13].flatMap(ofTrace);
    checkTree(later);
    const fetches = named(later, 'shoal.fetch');
    expect(fetches.reduce((sum, { attributes }) => sum + Number(attributes['shoal.blocks']), 0)).toBeGreaterThan(0);
    const served = named(later, 'shoal.serve').map(({ parentSpanId }) => parentSpanId);
    expect(fetches.map(({ spanId }) => spanId)).toEqual(expect.arrayContaining(served));
    expect(served.length).toBeGreaterThan(0);

    expect(ofTrace(90)).toEqual([]);
    expect(named(ofTrace(80), 'chat recall')).toHaveLength(1);
    const words = sheets.flatMap(({ questions }) => questions.map(({ answer }) => answer));
    for (const text of [...collector.bodies, fleet.log]) for (const word of words) expect(text).not.toContain(word);

    const lines = logLines();
    const [answered, unsampled] = [0, 90].map((n) =>
      lines.find(({ msg, traceId }) => msg === 'answered' && traceId === traceOf(n)),
    );
    expect(answered).toMatchObject({ role: 'coordinator', worker: 'worker-1', finish: ['stop'], status: 200 });
    expect(answered!.ttftMs).toBeGreaterThan(0);
    expect(answered!.cached).toMatchObject({ local: 0, remote: 0 });
    expect(unsampled).toBeDefined();
    const ran = lines.find(
      ({ msg, requestId }) => msg === 'ran a request' && requestId === `${answered!.sequenceId}-0`,
    );
    expect(ran).toMatchObject({
      role: 'worker',
      worker: 'worker-1',
      traceId: traceOf(0),
      outcome: 'done',
      finish: 'stop',
    });
  });

  it('go over gRPC as well, and metrics with them', async () => {
    const otlp = ['--otlp-endpoint', collector.grpcUrl, '--otlp-protocol', 'grpc', '--otlp-metrics', 'on'];
    fleet = await Fleet.up(['--workers', '1', ...otlp]);
    await fleet.complete({ prompt: prompts[0] }, { traceparent: callerOf(1) });
    await fleet.stop();
    const roles = new Set(collector.spans.map(roleOf));
    expect(roles).toEqual(new Set(['coordinator:coordinator-1', 'worker:worker-1']));
    expect(new Set(collector.headers.map((headers) => headers['content-type']))).toEqual(new Set(['application/grpc']));
    const names = collector.metrics.flatMap(({ resourceMetrics }) =>
      resourceMetrics.flatMap(({ scopeMetrics }) =>
        scopeMetrics.flatMap(({ metrics }) => metrics.map(({ name }) => name)),
      ),
    );
    expect(names).toEqual(expect.arrayContaining(['shoal_requests_total', 'shoal_cache_blocks']));
  });

  it('are not recorded unless a collector is named, and requests keep their ids in the logs of all roles', async () => {
    fleet = await Fleet.up(['--workers', '1', '--log-level', 'info']);
    await fleet.complete({ prompt: prompts[0] }, { traceparent: callerOf(1), 'x-request-id': 'mine' });
    await fleet.stop();
    const lines = logLines();
    const answered = lines.find(({ msg }) => msg === 'answered');
    expect(answered).toMatchObject({ requestId: 'mine', traceId: traceOf(1) });
    const ran = lines.find(({ msg }) => msg === 'ran a request');
    expect(ran).toMatchObject({ role: 'worker', requestId: `${answered!.sequenceId}-0` });
    expect(ran).not.toHaveProperty('traceId');
  });
});
