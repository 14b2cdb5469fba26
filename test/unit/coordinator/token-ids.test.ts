import { describe, expect, it } from 'vitest';
import { saying, started } from './support/scripted-fleet.js';
import { idsOf, testServer } from './support/test-server.js';

const END = 989;
const ANSWER = idsOf(' The key');

interface Chunk {
  readonly id: string;
  readonly prompt_token_ids?: number[];
  readonly usage?: { completion_tokens: number } | null;
  readonly choices: readonly {
    readonly text?: string;
    readonly delta?: { readonly content?: string };
    readonly token_ids?: number[];
    readonly prompt_token_ids?: number[];
    readonly stop_reason?: unknown;
    readonly finish_reason: string | null;
    readonly logprobs?: { readonly tokens: string[]; readonly content?: { readonly token: string }[] } | null;
  }[];
}

const chunksOf = (text: string): Chunk[] =>
  [...text.matchAll(/^data: (\{.*)$/gm)].map((match) => JSON.parse(match[1]!) as Chunk);

describe('the ids of an answer', () => {
  it('are those of its tokens and of its prompt, in each choice of a completion', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying(ANSWER);
    const body = { prompt: 'the', n: 2, return_token_ids: true };
    const whole = (await (await post('/v1/completions', body)).json()) as Chunk;
    for (const choice of whole.choices)
      expect(choice).toMatchObject({ token_ids: ANSWER, prompt_token_ids: idsOf('the'), stop_reason: null });
    const chunks = chunksOf(await (await post('/v1/completions', { ...body, n: 1, stream: true })).text());
    const choices = chunks.flatMap((chunk) => chunk.choices);
    expect(choices.flatMap(({ token_ids }) => token_ids!)).toEqual(ANSWER);
    expect(choices.map(({ prompt_token_ids }) => prompt_token_ids).filter((ids) => ids !== undefined)).toEqual([
      idsOf('the'),
    ]);
  });

  it('stand beside the choices of a chat', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying(ANSWER);
    const body = { messages: [{ role: 'user', content: 'the' }], return_token_ids: true };
    const whole = (await (await post('/v1/chat/completions', body)).json()) as Chunk;
    expect(whole.prompt_token_ids).toEqual([...fleet.asked[0]!.request.tokens]);
    expect(whole.choices[0]).toMatchObject({ token_ids: ANSWER });
    expect(whole.choices[0]).not.toHaveProperty('prompt_token_ids');
    const chunks = chunksOf(await (await post('/v1/chat/completions', { ...body, stream: true })).text());
    expect(chunks.filter(({ prompt_token_ids }) => prompt_token_ids !== undefined)).toHaveLength(1);
    expect(chunks.flatMap((chunk) => chunk.choices).flatMap(({ token_ids }) => token_ids!)).toEqual(ANSWER);
  });

  it('take the place of texts in log-probabilities', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying(ANSWER, { logprobs: ANSWER.map((id) => ({ logprob: -1, top: [[id, -1]] })) });
    const body = { prompt: 'the', logprobs: 1, return_tokens_as_token_ids: true };
    const { choices } = (await (await post('/v1/completions', body)).json()) as Chunk;
    expect(choices[0]!.logprobs!.tokens).toEqual(ANSWER.map((id) => `token_id:${id}`));
  });
});

describe('the end of an answer', () => {
  it('names the stop string, and keeps it where that is asked for', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying(idsOf(' The key opens'));
    const body = { prompt: 'the', stop: ['nothing', 'key'] };
    const { choices } = (await (await post('/v1/completions', body)).json()) as Chunk;
    expect(choices[0]).toMatchObject({ text: ' The ', finish_reason: 'stop', stop_reason: 'key' });
    const kept = await post('/v1/completions', { ...body, include_stop_str_in_output: true });
    expect(((await kept.json()) as Chunk).choices[0]).toMatchObject({ text: ' The key', stop_reason: 'key' });
  });

  it('names a stop token of the request, but not the one that ends every text', async () => {
    const { post, fleet } = await testServer();
    const [stop] = idsOf(' opens');
    fleet.script = async function* () {
      yield started();
      yield { type: 'tokens', ids: ANSWER };
      yield { type: 'end', reason: 'stop', token: stop! };
    };
    const asked = { prompt: 'the', stop_token_ids: [stop] };
    const named = (await (await post('/v1/completions', asked)).json()) as Chunk;
    expect(named.choices[0]).toMatchObject({ text: ' The key', stop_reason: stop });
    const kept = await post('/v1/completions', { ...asked, include_stop_str_in_output: true });
    expect(((await kept.json()) as Chunk).choices[0]!.text).toBe(' The key opens');
    const other = (await (await post('/v1/completions', { prompt: 'the' })).json()) as Chunk;
    expect(other.choices[0]).toMatchObject({ finish_reason: 'stop', stop_reason: null });
  });
});

describe('an answer', () => {
  it('shows special tokens where that is asked for', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying([...ANSWER, END, ...ANSWER]);
    const shown = await post('/v1/completions', { prompt: 'the', skip_special_tokens: false });
    expect(((await shown.json()) as Chunk).choices[0]!.text).toBe(' The key<|end|> The key');
    const hidden = await post('/v1/completions', { prompt: 'the' });
    expect(((await hidden.json()) as Chunk).choices[0]!.text).toBe(' The key The key');
  });

  it('has the name of its request', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying(ANSWER);
    const named = await post('/v1/completions', { prompt: 'the' }, { 'x-request-id': 'order-7' });
    expect(((await named.json()) as Chunk).id).toBe('cmpl-order-7');
    const other = await post('/v1/chat/completions', { messages: [{ role: 'user', content: 'x' }] });
    expect(((await other.json()) as Chunk).id).toBe(`chatcmpl-${other.headers.get('x-request-id')}`);
    expect(fleet.asked[0]!.request.requestId).not.toContain('order-7');
  });

  it('has the usage so far in each chunk where that is asked for', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying(ANSWER);
    const stream_options = { include_usage: true, continuous_usage_stats: true };
    const chunks = chunksOf(
      await (await post('/v1/completions', { prompt: 'the', stream: true, stream_options })).text(),
    );
    const counts = chunks.map(({ usage }) => usage!.completion_tokens);
    expect(counts[0]).toBeLessThan(ANSWER.length);
    expect(counts.at(-1)).toBe(ANSWER.length);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
  });
});
