import { expect, it } from 'vitest';
import type { Span, SpanAttributes, Tracer } from '../../../src/trace/span.js';
import { saying } from './support/scripted-fleet.js';
import { idsOf, testServer } from './support/test-server.js';

/** Keeps the attributes of all spans together, and the `tracestate` with which they began. */
class KeepingTracer implements Tracer {
  readonly attributes: Record<string, unknown> = {};
  readonly states: (string | null | undefined)[] = [];

  start(
    _name: string,
    _parent: string | null,
    attributes?: SpanAttributes,
    _kind?: string,
    state?: string | null,
  ): Span {
    this.states.push(state);
    return this.span(attributes);
  }

  private span(attributes: SpanAttributes = {}): Span {
    const set = (more: SpanAttributes) => void Object.assign(this.attributes, more);
    set(attributes);
    return { traceparent: null, traceId: null, child: (_, more) => this.span(more), set, end: () => {} };
  }
}

const MESSAGES = [{ role: 'user', content: 'hello' }];

it.each([
  ['/v1/completions', { prompt: 'hello', max_tokens: 7 }],
  ['/v1/chat/completions', { messages: MESSAGES, max_completion_tokens: 7 }],
  ['/v1/responses', { input: 'hello', max_output_tokens: 7 }],
  ['/v1/messages', { messages: MESSAGES, max_tokens: 7 }],
])('an answer of %s has the same id for its client, in its span and in the log', async (path, body) => {
  const tracer = new KeepingTracer();
  const server = await testServer({ tracer });
  server.fleet.script = () => saying(idsOf(' harbor'));
  const response = await server.post(path, body, { 'x-request-id': 'mine', tracestate: 'shop=1' });
  const { id } = (await response.json()) as { id: string };
  expect(id).toMatch(/mine$/);
  const isAnswered = (line: string) => line.includes('"msg":"answered"') && line.includes('"answerId"');
  while (!server.logged.some(isAnswered)) await new Promise(setImmediate);
  expect(JSON.parse(server.logged.find(isAnswered)!)).toMatchObject({
    answerId: id,
    sequenceId: server.fleet.asked[0]!.request.requestId.replace(/-0$/, ''),
  });
  expect(tracer.attributes).toMatchObject({ 'gen_ai.response.id': id, 'gen_ai.request.max_tokens': 7 });
  expect(tracer.states).toEqual(['shop=1']);
});
