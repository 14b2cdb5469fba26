import { expect, it } from 'vitest';
import { saying, started } from './support/scripted-fleet.js';
import { idsOf, testServer } from './support/test-server.js';

const YES = idsOf(' yes');

it('the prompts of a large request take their turns, and its answer has all of them in order', async () => {
  const { post, fleet, url } = await testServer();
  const waiting: (() => void)[] = [];
  let running = 0;
  let most = 0;
  fleet.script = async function* (request) {
    most = Math.max(most, ++running);
    yield started();
    // The first ones wait for each other, to be sure that as many run at once as may.
    if (waiting.length < 128) {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        if (waiting.length === 128) for (const goOn of waiting) goOn();
      });
      expect(await (await fetch(`${url}/load`)).json()).toEqual({ server_load: 128 });
    }
    running--;
    yield { type: 'tokens', ids: [request.tokens[0]!] };
    yield { type: 'end', reason: 'length', token: null };
  };
  const prompt = Array.from({ length: 1_000 }, (_, i) => [i % 900]);
  const answer = await post('/v1/completions', { prompt, max_tokens: 1, return_token_ids: true });
  const { choices, usage } = (await answer.json()) as {
    choices: { index: number; token_ids: number[] }[];
    usage: { prompt_tokens: number; completion_tokens: number };
  };
  expect(choices.map(({ index, token_ids: [id] }) => [index, id])).toEqual(prompt.map(([id], i) => [i, id]));
  expect(usage).toMatchObject({ prompt_tokens: 1_000, completion_tokens: 1_000 });
  expect(most).toBe(128);
});

it('a long answer to many prompts adds no more listeners than Node allows', async () => {
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on('warning', note);
  try {
    const { post, fleet } = await testServer();
    fleet.script = () => saying(YES);
    const answer = await post('/v1/completions', { prompt: Array(500).fill('x'), return_token_ids: true });
    expect((await answer.text()).length).toBeGreaterThan(65_536);
    expect(warnings).toEqual([]);
  } finally {
    process.off('warning', note);
  }
});

it('requests have bounds on their prompts and choices', async () => {
  const { post, fleet } = await testServer();
  fleet.script = () => saying(YES);
  const tooMany = await post('/v1/completions', { prompt: Array(2_049).fill('x') });
  expect(await tooMany.json()).toMatchObject({ error: { param: 'prompt', message: expect.stringContaining('2048') } });
  const choices = await post('/v1/completions', { prompt: Array(100).fill([1]), n: 21 });
  expect(await choices.json()).toMatchObject({ error: { param: 'n', message: expect.stringContaining('2048') } });
  expect(fleet.asked).toEqual([]);
});
