import { describe, expect, it } from 'vitest';
import { unpackTokens } from '../../../src/protocol/generate.js';
import { saying, started } from './support/scripted-fleet.js';
import { idsOf, testServer } from './support/test-server.js';

const ANSWER = idsOf(' The key');
const QUESTION = { messages: [{ role: 'user', content: 'the' }] };

interface PromptEntry {
  readonly logprob: number;
  readonly rank: number;
  readonly decoded_token: string;
}
type PromptLogprobs = (Record<string, PromptEntry> | null)[];

describe('the tokens that an answer may have', () => {
  it('are those of allowed_token_ids', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying(ANSWER);
    expect((await post('/v1/completions', { prompt: 'the', allowed_token_ids: [5, 9] })).status).toBe(200);
    expect([...unpackTokens(fleet.asked[0]!.request.sampling.allowed!)]).toEqual([5, 9]);
    for (const wrong of [[], [1_000_000], [-1], Array(5_000).fill(1)]) {
      const refused = await post('/v1/completions', { prompt: 'the', allowed_token_ids: wrong });
      expect(refused.status).toBe(400);
      expect(await refused.json()).toMatchObject({
        error: { message: expect.stringMatching(/^allowed_token_ids(\[0\])?: /) },
      });
    }
  });

  it('make no text of bad_words, at the beginning or after a blank', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying(ANSWER);
    expect((await post('/v1/chat/completions', { ...QUESTION, bad_words: [' harbor', 'key'] })).status).toBe(200);
    const { banned } = fleet.asked[0]!.request.sampling;
    for (const text of ['harbor', ' harbor', 'key', ' key']) expect(banned).toContainEqual(idsOf(text));
    expect(banned).toHaveLength(new Set(banned!.map((run) => run.join())).size);
    const blank = await post('/v1/chat/completions', { ...QUESTION, bad_words: ['key', '  '] });
    expect(await blank.json()).toMatchObject({ error: { param: 'bad_words[1]' } });
    const long = Array.from({ length: 256 }, (_, i) => `${i}x`.repeat(30));
    const many = await post('/v1/chat/completions', { ...QUESTION, bad_words: long });
    expect(await many.json()).toMatchObject({ error: { param: 'bad_words' } });
  });
});

describe('the log-probabilities of a prompt', () => {
  const scripted = async () => {
    const server = await testServer();
    server.fleet.script = async function* ({ tokens }) {
      yield started();
      const ofPrompt = [...tokens].map((id, i) =>
        i === 0 ? null : { logprob: -5, rank: 40, top: [[id + 1, -1] as [number, number]] },
      );
      yield { type: 'prompt', logprobs: ofPrompt.slice(0, 1) };
      yield { type: 'prompt', logprobs: ofPrompt.slice(1) };
      yield { type: 'tokens', ids: ANSWER };
      yield { type: 'end', reason: 'length', token: null };
    };
    return server;
  };

  it('stand in each choice of a completion, by token id, as in vLLM', async () => {
    const { post, fleet } = await scripted();
    const answer = await post('/v1/completions', { prompt: ['the key', 'a'], prompt_logprobs: 1, echo: true });
    const { choices } = (await answer.json()) as { choices: { prompt_logprobs: PromptLogprobs; text: string }[] };
    expect(fleet.asked[0]!.request.sampling).toMatchObject({
      promptLogprobs: true,
      promptAlternatives: 1,
      logprobs: null,
    });
    expect(choices[0]!.text).toBe('the key The key');
    const [, second] = fleet.asked[0]!.request.tokens;
    expect(choices[0]!.prompt_logprobs).toHaveLength(fleet.asked[0]!.request.tokens.length);
    expect(choices[0]!.prompt_logprobs[0]).toBeNull();
    expect(choices[0]!.prompt_logprobs[1]).toEqual({
      [second!]: { logprob: -5, rank: 40, decoded_token: expect.any(String) },
      [second! + 1]: { logprob: -1, rank: 1, decoded_token: expect.any(String) },
    });
    expect(choices[1]!.prompt_logprobs).toHaveLength(fleet.asked[1]!.request.tokens.length);
  });

  it('stand beside the choices of a chat, and leave those of the answer as they are', async () => {
    const { post, fleet } = await scripted();
    const answer = await post('/v1/chat/completions', { ...QUESTION, prompt_logprobs: 0, n: 2 });
    const body = (await answer.json()) as { prompt_logprobs: PromptLogprobs; choices: { logprobs: unknown }[] };
    expect(body.prompt_logprobs).toHaveLength(fleet.asked[0]!.request.tokens.length);
    for (const choice of body.choices) expect(choice).not.toHaveProperty('prompt_logprobs');
    expect(body.choices[0]!.logprobs).toBeNull();
  });

  it('are refused where they would not come, or be too many', async () => {
    const { post } = await scripted();
    for (const other of [
      { stream: true },
      { echo: true, logprobs: 1 },
      { prompt: Array(64).fill(Array(500).fill(5)) },
    ]) {
      const refused = await post('/v1/completions', { prompt: 'the', prompt_logprobs: 20, ...other });
      expect(await refused.json()).toMatchObject({ error: { param: 'prompt_logprobs' } });
    }
  });
});

it('log-probabilities have the tokens of logprob_token_ids as alternatives', async () => {
  const { post, fleet } = await testServer();
  fleet.script = () => saying(ANSWER);
  const ids = { logprob_token_ids: [7, 3, 7] };
  await post('/v1/chat/completions', { ...QUESTION, logprobs: true, ...ids });
  expect(fleet.asked[0]!.request.sampling).toMatchObject({ logprobs: 3, logprobTokens: [7, 3] });
  await post('/v1/completions', { prompt: 'the', logprobs: 0, ...ids });
  expect(fleet.asked[1]!.request.sampling).toMatchObject({ logprobs: 3, logprobTokens: [7, 3] });
  const alone = await post('/v1/chat/completions', { ...QUESTION, ...ids });
  expect(await alone.json()).toMatchObject({ error: { param: 'logprob_token_ids' } });
});
