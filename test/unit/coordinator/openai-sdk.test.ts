import OpenAI, { APIError, BadRequestError, NotFoundError, RateLimitError } from 'openai';
import { describe, expect, it, vi } from 'vitest';
import { InvalidRequest, Overloaded, PoisonousPrompt, Unavailable } from '../../../src/errors.js';
import { collect } from './support/collect.js';
import { aborted, failing, saying, sayingForever, started } from './support/scripted-fleet.js';
import { idsOf, type TestServer, testServer } from './support/test-server.js';

const QUESTION = [
  { role: 'system' as const, content: 'Notes:\nThe amber key is in the harbor.' },
  { role: 'user' as const, content: 'Where is the amber key?' },
];
const ANSWER = ' The amber key is in the harbor. 😀';

async function withSdk(options: Parameters<typeof testServer>[0] = {}): Promise<TestServer & { openai: OpenAI }> {
  const server = await testServer(options);
  return Object.assign(server, { openai: new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 }) });
}

describe("OpenAI's SDK", () => {
  it('gets a completion, with its usage and where it was computed', async () => {
    const { openai, fleet } = await withSdk();
    const ids = idsOf(ANSWER);
    fleet.script = () => saying(ids);
    const answer = await openai.completions.create({
      model: 'recall',
      prompt: 'Q: Where?\nA:',
      temperature: 0,
      seed: 7,
    });
    expect(answer).toMatchObject({
      object: 'text_completion',
      model: 'recall',
      choices: [{ index: 0, text: ANSWER, finish_reason: 'stop', logprobs: null }],
      usage: {
        prompt_tokens: idsOf('Q: Where?\nA:').length,
        completion_tokens: ids.length,
        prompt_tokens_details: { cached_tokens: 96 },
      },
      shoal: { worker: 'w1', cached: { local: 64, remote: 32, computed: 8 }, queue_ms: 3 },
    });
    expect(answer.usage!.total_tokens).toBe(answer.usage!.prompt_tokens + ids.length);
    expect(answer.id).toMatch(/^cmpl-[0-9a-f-]{36}$/);
    expect([...fleet.asked[0]!.request.tokens]).toEqual(idsOf('Q: Where?\nA:'));
    expect(fleet.asked[0]!.request.sampling).toMatchObject({ temperature: 0, seed: 7, topP: 1, logprobs: null });
    expect(fleet.asked[0]!.request.stopping).toMatchObject({ maxTokens: 16, minTokens: 0 });
  });

  it('gets a chat answer, which may fill the rest of the context', async () => {
    const { openai, fleet } = await withSdk();
    fleet.script = () => saying(idsOf(ANSWER));
    const answer = await openai.chat.completions.create({ model: 'recall', messages: QUESTION });
    expect(answer.choices[0]!.message).toMatchObject({ role: 'assistant', content: ANSWER });
    expect(answer.object).toBe('chat.completion');
    const { tokens, stopping } = fleet.asked[0]!.request;
    const prompt = 'Notes:\nThe amber key is in the harbor.\n\nQ: Where is the amber key?\nA:';
    expect([...tokens]).toEqual(idsOf(prompt));
    expect(stopping.maxTokens).toBe(512 - tokens.length);
  });

  it('keeps the prompt of a chat up to its last message for a day, if it asks for that', async () => {
    const { openai, fleet, retentions } = await withSdk();
    fleet.script = () => saying(idsOf(ANSWER));
    const notes = 'Notes: The amber key is in the harbor. '.repeat(12);
    const messages = [{ role: 'system' as const, content: notes }, QUESTION[1]!];
    const kept24h = { model: 'recall', prompt_cache_retention: '24h' as const };
    const asked = { ...kept24h, messages, prompt_cache_key: 'agent' };
    await openai.chat.completions.create(asked);
    await openai.chat.completions.create({ ...asked, prompt_cache_retention: 'in_memory' as never });
    await openai.responses.create({ ...kept24h, input: messages, prompt_cache_key: 'other' });
    await vi.waitFor(() => expect(retentions.orders.length).toBe(2));
    const { tokens } = fleet.asked[0]!.request;
    const kept = tokens.slice(0, idsOf(notes).length - (idsOf(notes).length % 64));
    expect(retentions.orders).toMatchObject(
      ['agent', 'other'].map((name) => ({ tokens: kept, ttlMs: 86_400_000, mark: { name } })),
    );
  });

  it('streams a chat: role and first text in the first chunk, usage in the last', async () => {
    const { openai, fleet } = await withSdk();
    fleet.script = () => saying(idsOf(ANSWER));
    const stream = await openai.chat.completions.create({
      model: 'recall',
      messages: QUESTION,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = await collect(stream);
    expect(chunks[0]!.choices[0]!.delta).toEqual({ role: 'assistant', content: ' The' });
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe(ANSWER);
    expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe('stop');
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { completion_tokens: idsOf(ANSWER).length },
      shoal: { worker: 'w1' },
    });
    expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1);
  });

  it('streams a completion, one chunk for each token', async () => {
    const { openai, fleet } = await withSdk();
    fleet.script = () => saying(idsOf(' the harbor.'), { reason: 'length' });
    const stream = await openai.completions.create({ model: 'recall', prompt: 'x', stream: true });
    const chunks = await collect(stream);
    expect(chunks.map((chunk) => chunk.choices[0]!.text).join('')).toBe(' the harbor.');
    expect(chunks).toHaveLength(idsOf(' the harbor.').length + 1);
    expect(chunks.at(-1)!.choices[0]!.finish_reason).toBe('length');
    expect(chunks.every((chunk) => chunk.usage === undefined)).toBe(true);
  });

  it('cancels a stream that it aborts', async () => {
    const { openai, fleet, metric } = await withSdk();
    fleet.script = (_, signal) => sayingForever(idsOf(' the'), signal);
    const stream = await openai.completions.create({ model: 'recall', prompt: 'x', stream: true });
    for await (const _ of stream) stream.controller.abort();
    await aborted(fleet.asked[0]!.signal);
    await expect.poll(() => metric('shoal_requests_total{status="499"}')).toBe(1);
    expect(await metric('shoal_requests_running')).toBe(0);
  });

  it('cancels a whole answer that it aborts', async () => {
    const { openai, fleet, metric } = await withSdk();
    const gone = new AbortController();
    fleet.script = (_, signal) => {
      gone.abort();
      return sayingForever(idsOf(' the'), signal);
    };
    const answer = openai.completions.create({ model: 'recall', prompt: 'x' }, { signal: gone.signal });
    await expect(answer).rejects.toThrow(OpenAI.APIUserAbortError);
    await aborted(fleet.asked[0]!.signal);
    await expect.poll(() => metric('shoal_requests_total{status="499"}')).toBe(1);
    expect(await metric('shoal_requests_waiting')).toBe(0);
  });

  it('gets several choices for several prompts, each with its own seed', async () => {
    const { openai, fleet } = await withSdk();
    fleet.script = ({ requestId }) => saying(idsOf(` ${requestId.split('-').at(-1)}`));
    const answer = await openai.completions.create({ model: 'recall', prompt: ['x', 'y'], n: 2, seed: 40 });
    expect(answer.choices.map(({ index, text }) => [index, text])).toEqual([0, 1, 2, 3].map((i) => [i, ` ${i}`]));
    expect(fleet.asked.map(({ request }) => request.sampling.seed)).toEqual([40, 41, 40, 41]);
    expect(answer.usage!.prompt_tokens).toBe(2);
    expect(answer.usage!.prompt_tokens_details!.cached_tokens).toBe(2 * 96);
    expect(answer).toMatchObject({ shoal: { cached: { local: 4 * 64 } } });
  });

  it('lists the models', async () => {
    const { openai } = await withSdk();
    expect((await collect(openai.models.list())).map((model) => model.id)).toEqual(['recall', 'shoal/recall']);
    expect(await openai.models.retrieve('shoal/recall')).toMatchObject({ id: 'shoal/recall', root: 'recall' });
    await expect(openai.models.retrieve('gpt-9')).rejects.toBeInstanceOf(NotFoundError);
  });

  it('learns which field is wrong', async () => {
    const { openai, fleet } = await withSdk();
    const error = await openai.completions
      .create({ model: 'recall', prompt: 'x', temperature: 9 })
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({ status: 400, param: 'temperature', type: 'invalid_request_error' });
    const unknown = await openai.completions.create({ model: 'gpt-9', prompt: 'x' }).catch((e: unknown) => e);
    expect(unknown).toMatchObject({ status: 404, code: 'model_not_found', param: 'model' });
    expect(unknown).toBeInstanceOf(NotFoundError);
    expect(fleet.asked).toEqual([]);
  });

  it('gets errors of the fleet with retry-after', async () => {
    const { openai, fleet } = await withSdk();
    const failure = async (error: Error) => {
      fleet.script = () => failing(error);
      const thrown = await openai.completions
        .create({ model: 'recall', prompt: 'x', stream: true })
        .catch((e: unknown) => e);
      expect(thrown).toBeInstanceOf(APIError);
      return thrown as APIError;
    };
    const full = await failure(new Overloaded('all queues are full'));
    expect(full).toBeInstanceOf(RateLimitError);
    expect(full.headers!.get('retry-after')).toBe('1');
    const nobody = await failure(new Unavailable('no worker is serving'));
    expect([nobody.status, nobody.headers!.get('retry-after')]).toEqual([503, '1']);
    const poison = await failure(new PoisonousPrompt('cannot answer this prompt'));
    expect(poison).toMatchObject({ status: 422, code: 'poisonous_prompt', type: 'invalid_request_error' });
    expect(poison.headers!.get('retry-after')).toBeNull();
    expect(await failure(new InvalidRequest('too long', 'prompt'))).toMatchObject({ status: 400, param: 'prompt' });
  });

  it('gets an error in the middle of a stream', async () => {
    const { openai, fleet, metric } = await withSdk();
    fleet.script = async function* () {
      yield started();
      yield { type: 'tokens', ids: idsOf(' the') };
      throw new Unavailable('the last worker is gone');
    };
    const stream = await openai.completions.create({ model: 'recall', prompt: 'x', stream: true });
    const texts: string[] = [];
    const reading = (async () => {
      for await (const chunk of stream) texts.push(chunk.choices[0]!.text);
    })();
    await expect(reading).rejects.toThrow('the last worker is gone');
    expect(texts).toEqual([' the']);
    expect(await metric('shoal_requests_total{status="503"}')).toBe(1);
  });

  it('gets log-probabilities in both shapes', async () => {
    const { openai, fleet } = await withSdk();
    const ids = idsOf(' the harbor');
    const logprobs = ids.map((id, i) => ({
      logprob: -i,
      top: [
        [id, -i],
        [33, -5],
      ] as [number, number][],
    }));
    fleet.script = () => saying(ids, { logprobs });
    const completion = await openai.completions.create({ model: 'recall', prompt: 'x', logprobs: 2 });
    expect(completion.choices[0]!.logprobs).toMatchObject({
      tokens: [' the', ' harbor'].slice(0, ids.length),
      token_logprobs: ids.map((_, i) => 0 - i),
      text_offset: [0, 4].slice(0, ids.length),
    });
    const chat = await openai.chat.completions.create({
      model: 'recall',
      messages: QUESTION,
      logprobs: true,
      top_logprobs: 2,
    });
    expect(chat.choices[0]!.logprobs!.content![0]).toMatchObject({
      token: ' the',
      bytes: [...Buffer.from(' the')],
      top_logprobs: [
        { token: ' the', logprob: 0 },
        { token: '!', logprob: -5 },
      ],
    });
    expect(fleet.asked.map(({ request }) => request.sampling.logprobs)).toEqual([2, 2]);
  });
});
