import { describe, expect, it } from 'vitest';
import { Deferred } from '../../../src/async/deferred.js';
import { InternalError, Overloaded, Unavailable } from '../../../src/errors.js';
import { aborted, failing, saying, sayingForever, started } from './support/scripted-fleet.js';
import { idsOf, testServer } from './support/test-server.js';

/** The parsed `data:` lines of a stream. */
const dataOf = (text: string): unknown[] =>
  text
    .trimEnd()
    .split('\n\n')
    .map((event) => event.slice('data: '.length))
    .map((data) => (data === '[DONE]' ? data : (JSON.parse(data) as unknown)));

describe('a stream', () => {
  it('is server-sent events that end with [DONE]', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying(idsOf(' the harbor.'));
    const response = await post('/v1/completions', {
      prompt: 'x',
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('x-request-id')).toMatch(/^[\w-]+$/);
    const events = dataOf(await response.text());
    expect(events[0]).toMatchObject({
      object: 'text_completion',
      choices: [{ text: ' the', finish_reason: null }],
      usage: null,
    });
    expect(events.at(-2)).toMatchObject({ choices: [], usage: { completion_tokens: 3 }, shoal: { worker: 'w1' } });
    expect(events.at(-1)).toBe('[DONE]');
  });

  it.each([
    ['a full queue', new Overloaded('full'), 429],
    ['no worker', new Unavailable('no worker'), 503],
  ])('that fails before its first token because of %s gets the status of the error', async (_, error, status) => {
    const { post, fleet } = await testServer();
    fleet.script = async function* () {
      yield started();
      throw error;
    };
    const response = await post('/v1/completions', { prompt: 'x', stream: true });
    expect(response.status).toBe(status);
    expect(response.headers.get('retry-after')).toBe('1');
    expect(response.headers.get('content-type')).toContain('application/json');
  });

  it('ends with an error event if it fails after its first token', async () => {
    const { post, fleet } = await testServer();
    fleet.script = async function* () {
      yield started();
      yield { type: 'tokens', ids: idsOf(' the') };
      throw new InternalError('a secret of the house');
    };
    const response = await post('/v1/completions', { prompt: 'x', stream: true });
    const events = dataOf(await response.text());
    expect(events).toHaveLength(2);
    expect(events[1]).toMatchObject({ error: { type: 'server_error', code: 'internal_error' } });
    expect(JSON.stringify(events)).not.toContain('secret');
  });

  it('fails if the fleet ends it without an end event', async () => {
    const { post, fleet, logged } = await testServer();
    fleet.script = async function* () {
      yield started();
    };
    expect((await post('/v1/completions', { prompt: 'x' })).status).toBe(500);
    expect(logged.join()).toContain('without an end event');
  });

  it('interleaves its choices, each with its index', async () => {
    const { post, fleet } = await testServer();
    const begun = new Deferred<void>();
    fleet.script = async function* () {
      if (fleet.asked.length === 3) begun.resolve();
      await begun.promise;
      yield* saying(idsOf(' in the harbor.'));
    };
    const response = await post('/v1/chat/completions', {
      messages: [{ role: 'user', content: 'x' }],
      stream: true,
      n: 3,
    });
    const chunks = dataOf(await response.text()).slice(0, -1) as {
      choices: { index: number; delta: { role?: string; content?: string } }[];
    }[];
    const choices = chunks.map((chunk) => chunk.choices[0]!);
    for (const index of [0, 1, 2]) {
      const own = choices.filter((choice) => choice.index === index);
      expect(own.map((choice) => choice.delta.content ?? '').join('')).toBe(' in the harbor.');
      expect(own.map((choice) => choice.delta.role)).toEqual(['assistant', ...own.slice(1).map(() => undefined)]);
    }
    expect(choices.slice(0, 3).map((choice) => choice.index)).toEqual([0, 1, 2]);
  });

  it('cancels its other choices when one fails', async () => {
    const { post, fleet, metric } = await testServer();
    fleet.script = ({ requestId }, signal) =>
      requestId.endsWith('-1') ? failing(new Overloaded('full')) : sayingForever([], signal);
    const response = await post('/v1/completions', { prompt: 'x', n: 3 });
    expect(response.status).toBe(429);
    await Promise.all(fleet.asked.filter((_, i) => i !== 1).map(({ signal }) => aborted(signal)));
    await expect.poll(() => metric('shoal_requests_running')).toBe(0);
  });

  it('stops the sequence at a stop string', async () => {
    const { post, fleet } = await testServer();
    let left = false;
    fleet.script = async function* () {
      try {
        yield started();
        for (;;) yield { type: 'tokens', ids: idsOf(' the') };
      } finally {
        left = true;
      }
    };
    const response = await post('/v1/completions', { prompt: 'x', stop: ' the the', max_tokens: 100 });
    expect(await response.json()).toMatchObject({
      choices: [{ text: '', finish_reason: 'stop' }],
      usage: { completion_tokens: 2 },
    });
    expect(left).toBe(true);
  });
});
