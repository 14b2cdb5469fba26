import { expect, it } from 'vitest';
import { saying } from './support/scripted-fleet.js';
import { idsOf, type TestServer, testServer } from './support/test-server.js';

/** Parameters of chats in requests of other APIs. */

const REQUESTS = [
  { path: '/v1/responses', least: { input: 'hello' }, stops: 'stop' },
  {
    path: '/v1/messages',
    least: { messages: [{ role: 'user', content: 'hello' }], max_tokens: 20 },
    stops: 'stop_sequences',
  },
] as const;

async function talkative(): Promise<TestServer> {
  const server = await testServer();
  server.fleet.script = () => saying(idsOf(' yes and no'));
  return server;
}

it.each(REQUESTS)('$path samples and stops as chats do', async ({ path, least, stops }) => {
  const { post, fleet } = await talkative();
  const sampling = { seed: 7, top_k: 3, min_p: 0.1, presence_penalty: 1, frequency_penalty: 0.5 };
  const more = { repetition_penalty: 1.5, logit_bias: { 5: -1 }, min_tokens: 1, stop_token_ids: [9] };
  const answer = await post(path, { ...least, ...sampling, ...more, [stops]: [' and'] });
  const text = await answer.text();
  expect([answer.status, text]).toEqual([200, expect.stringContaining('" yes"')]);
  expect(text).not.toContain('ignored');
  expect(fleet.asked[0]!.request).toMatchObject({
    sampling: { seed: 7, topK: 3, minP: 0.1, presencePenalty: 1, frequencyPenalty: 0.5, repetitionPenalty: 1.5 },
    stopping: { minTokens: 1, tokenIds: [9] },
  });
  expect(fleet.asked[0]!.request.sampling.logitBias).toEqual([[5, -1]]);
  await post(path, { ...least, structured_outputs: { choice: ['a', 'b'] } });
  expect(fleet.asked[1]!.request.sampling.constraint).toBeDefined();
});

it.each([
  ['/v1/responses', { max_tokens: 5 }, 'use max_output_tokens'],
  ['/v1/responses', { response_format: { type: 'json_object' } }, 'use text.format'],
  ['/v1/responses', { messages: [] }, 'send the conversation as input'],
  ['/v1/responses', { n: 2 }, 'send the request several times'],
  ['/v1/messages', { stop: ['x'] }, 'use stop_sequences'],
  ['/v1/messages', { response_format: { type: 'json_object' } }, 'use output_config.format'],
  ['/v1/messages', { chat_template_kwargs: { a: 1 } }, '/v1/chat/completions'],
])('%s refuses %j by name', async (path, field, instead) => {
  const { post } = await talkative();
  const { least } = REQUESTS.find((request) => request.path === path)!;
  const answer = await post(path, { ...least, ...field });
  const [param] = Object.keys(field);
  expect([answer.status, await answer.json()]).toMatchObject([
    400,
    { error: { param, message: expect.stringContaining(instead) } },
  ]);
});

it('/v1/responses repeats the metadata of its request', async () => {
  const { post } = await talkative();
  const answer = await post('/v1/responses', { input: 'hello', metadata: { run: '7' } });
  expect(await answer.json()).toMatchObject({ metadata: { run: '7' } });
});

it('/v1/completions takes the maximum of tokens under its name in chats', async () => {
  const { post, fleet } = await talkative();
  await post('/v1/completions', { prompt: 'hello', max_completion_tokens: 5 });
  await post('/v1/completions', { prompt: 'hello', max_completion_tokens: 4, max_tokens: 5 });
  expect(fleet.asked.map(({ request }) => request.stopping.maxTokens)).toEqual([5, 4]);
});
