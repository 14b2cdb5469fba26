import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { describe, expect, it, vi } from 'vitest';
import { ANSWER_LOGPROBS } from '../../../coordinator/openai/logprob-count.js';
import { saying } from './support/scripted-fleet.js';
import { CONTEXT_TOKENS, idsOf, MODEL, testServer } from './support/test-server.js';

interface ErrorAnswer {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

const hello = { role: 'user', content: 'hello' };
const ECHO = { max_tokens: 0, echo: true, logprobs: 20 };
const long = idsOf('harbor '.repeat(600)).length;

/** Case, fields of the body, field named by the error. */
const COMPLETIONS: readonly [string, Record<string, unknown>, string][] = [
  ['no prompt', { prompt: undefined }, 'prompt'],
  ['a prompt that is null', { prompt: null }, 'prompt'],
  ['an empty prompt', { prompt: '' }, 'prompt'],
  ['an empty list of prompts', { prompt: [] }, 'prompt'],
  ['an empty prompt among others', { prompt: ['x', ''] }, 'prompt[1]'],
  ['an empty list of ids', { prompt: [[]] }, 'prompt[0]'],
  ['a prompt of another type', { prompt: { text: 'x' } }, 'prompt'],
  ['a number as prompt', { prompt: 3 }, 'prompt'],
  ['strings and ids in one list', { prompt: [1, 'x'] }, 'prompt[1]'],
  ['a token id that is too large', { prompt: [1, 990] }, 'prompt[1]'],
  ['a token id that is negative', { prompt: [[1], [-1]] }, 'prompt[1][0]'],
  ['a token id with a fraction', { prompt: [0.5] }, 'prompt[0]'],
  ['too many prompts', { prompt: Array(2_049).fill('x') }, 'prompt'],
  ['a prompt longer than the context', { prompt: 'harbor '.repeat(600) }, 'prompt'],
  ['a prompt much longer than the context', { prompt: 'x'.repeat(1_000_000) }, 'prompt'],
  ['more ids than the context', { prompt: Array(CONTEXT_TOKENS + 1).fill(1) }, 'prompt'],
  ['half a million ids', { prompt: Array(500_000).fill(1) }, 'prompt'],
  ['a prompt that leaves no room', { prompt: Array(CONTEXT_TOKENS).fill(1) }, 'prompt'],
  ['negative max_tokens', { max_tokens: -1 }, 'max_tokens'],
  ['huge max_tokens', { max_tokens: 1e9 }, 'max_tokens'],
  ['max_tokens beyond any integer', { max_tokens: 1e300 }, 'max_tokens'],
  ['max_tokens of 0 without echo', { max_tokens: 0 }, 'max_tokens'],
  ['max_tokens as a string', { max_tokens: '5' }, 'max_tokens'],
  ['min_tokens over max_tokens', { max_tokens: 5, min_tokens: 6 }, 'min_tokens'],
  ['half of a surrogate pair in cache_salt', { cache_salt: 'a\ud800' }, 'cache_salt'],
  ['the other half of a pair in cache_salt', { cache_salt: '\udc00a' }, 'cache_salt'],
  ['half of a surrogate pair in prompt_cache_key', { prompt_cache_key: '\ud800' }, 'prompt_cache_key'],
  ['n of 0', { n: 0 }, 'n'],
  ['huge n', { n: 1e6 }, 'n'],
  ['too many choices in all', { n: 128, prompt: Array(17).fill('x') }, 'n'],
  ['negative temperature', { temperature: -0.1 }, 'temperature'],
  ['huge temperature', { temperature: 1e6 }, 'temperature'],
  ['temperature as a string', { temperature: 'hot' }, 'temperature'],
  ['top_p of 0', { top_p: 0 }, 'top_p'],
  ['top_k below -1', { top_k: -2 }, 'top_k'],
  ['min_p over 1', { min_p: 1.1 }, 'min_p'],
  ['a seed with a fraction', { seed: 0.5 }, 'seed'],
  ['a huge presence_penalty', { presence_penalty: 3 }, 'presence_penalty'],
  ['a huge frequency_penalty', { frequency_penalty: -3 }, 'frequency_penalty'],
  ['a repetition_penalty of almost 0', { repetition_penalty: 1e-320 }, 'repetition_penalty'],
  ['repetition_penalty of 0', { repetition_penalty: 0 }, 'repetition_penalty'],
  ['5,000 stop strings', { stop: Array(5_000).fill('x') }, 'stop'],
  ['an empty stop string', { stop: '' }, 'stop[0]'],
  ['a stop string that is a number', { stop: ['x', 3] }, 'stop[1]'],
  ['a very long stop string', { stop: ['x'.repeat(257)] }, 'stop[0]'],
  ['a stop token id out of range', { stop_token_ids: [990] }, 'stop_token_ids'],
  ['too many stop token ids', { stop_token_ids: Array(257).fill(1) }, 'stop_token_ids'],
  ['a bias whose key is not a token id', { logit_bias: { the: 1 } }, 'logit_bias.the'],
  ['a bias for a token out of range', { logit_bias: { 990: 1 } }, 'logit_bias'],
  ['a huge bias', { logit_bias: { 5: 101 } }, 'logit_bias.5'],
  [
    'too many biases',
    { logit_bias: Object.fromEntries(Array.from({ length: 1_025 }, (_, i) => [i, 1])) },
    'logit_bias',
  ],
  ['a list of biases', { logit_bias: [1] }, 'logit_bias'],
  ['logprobs as a boolean', { logprobs: true }, 'logprobs'],
  ['too many logprobs', { logprobs: 21 }, 'logprobs'],
  ['too many logprobs over all prompts', { ...ECHO, prompt: Array(64).fill(Array(400).fill(1)) }, 'logprobs'],
  ['too many logprobs over all choices', { prompt: [1], logprobs: 20, n: 128, max_tokens: 200 }, 'logprobs'],
  ['stream as a string', { stream: 'yes' }, 'stream'],
  ['include_usage as a number', { stream: true, stream_options: { include_usage: 1 } }, 'stream_options.include_usage'],
  ['echo as a number', { echo: 1 }, 'echo'],
  ['ignore_eos as a string', { ignore_eos: 'no' }, 'ignore_eos'],
  ['a salt that is a number', { cache_salt: 1 }, 'cache_salt'],
  ['a model that is a number', { model: 5 }, 'model'],
];

const CHATS: readonly [string, Record<string, unknown>, string][] = [
  ['a user message without content', { messages: [{ role: 'user' }] }, 'messages[0].content'],
  ['no messages', { messages: undefined }, 'messages'],
  ['an empty list of messages', { messages: [] }, 'messages'],
  ['messages as a string', { messages: 'hello' }, 'messages'],
  ['a role that does not exist', { messages: [{ role: 'king', content: 'x' }] }, 'messages[0].role'],
  ['content of another type', { messages: [hello, { role: 'user', content: 5 }] }, 'messages[1].content'],
  [
    'an image',
    { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
    'messages[0].content',
  ],
  ['too many messages', { messages: Array(4_097).fill(hello) }, 'messages'],
  ['messages longer than the context', { messages: [{ role: 'user', content: 'harbor '.repeat(600) }] }, 'messages'],
  ['huge max_completion_tokens', { max_completion_tokens: 1e6 }, 'max_completion_tokens'],
  [
    'too many top_logprobs over all choices',
    { logprobs: true, top_logprobs: 20, n: 128, max_tokens: 200 },
    'top_logprobs',
  ],
  ['top_logprobs without logprobs', { top_logprobs: 2 }, 'top_logprobs'],
  ['logprobs as a number', { logprobs: 2 }, 'logprobs'],
];

const BODIES: readonly [string, string | Uint8Array, Record<string, string>, number][] = [
  ['JSON that is cut off', '{"prompt": "x"', {}, 400],
  ['no body', '', {}, 400],
  ['a list', '[]', {}, 400],
  ['null', 'null', {}, 400],
  ['invalid UTF-8', Uint8Array.of(...Buffer.from('{"prompt":"'), 0xff, 0xfe, ...Buffer.from('"}')), {}, 400],
  ['a __proto__ key', '{"prompt":"x","__proto__":{"n":2}}', {}, 400],
  ['a __proto__ key deep inside', '{"prompt":"x","a":[{"b":{"__proto__":1}}]}', {}, 400],
  ['a __proto__ key in escapes', '{"prompt":"x","\\u005f_proto__":1}', {}, 400],
  ['deep nesting', `${'['.repeat(500_000)}`, {}, 400],
  ['another content type', 'prompt=x', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
  ['plain text', '{"prompt":"x"}', { 'content-type': 'text/plain' }, 415],
  ['no content type', new TextEncoder().encode('{"prompt":"x"}'), { 'content-type': '' }, 415],
  ['a compressed body', gzipSync('{"prompt":"x"}'), { 'content-encoding': 'gzip' }, 415],
  ['a body of 10 MB', JSON.stringify({ prompt: 'x'.repeat(10_000_000) }), {}, 413],
];

/** Fields of a completion, and the message that refuses them. */
const COMPLETION_MESSAGES: readonly [Record<string, unknown>, string][] = [
  [
    { prompt: 3 },
    'prompt: must be a string, an array of strings, an array of token ids, or an array of arrays of token ids',
  ],
  [{ prompt: [1, 'x'] }, 'prompt[1]: must be a token id from 0 to 989'],
  [{ max_tokens: 0 }, 'max_tokens: may be 0 only with echo'],
  [{ max_tokens: 1.5 }, 'max_tokens: must be an integer'],
  [{ max_tokens: -1 }, 'max_tokens: must be at least 0'],
  [{ max_tokens: 'many' }, 'max_tokens: must be a number'],
  [{ max_tokens: 1e300 }, 'max_tokens: must be at most 9007199254740991'],
  [{ max_tokens: 5, min_tokens: 6 }, 'min_tokens: must be at most 5, the maximum length of this answer, got 6'],
  [{ temperature: 2.5 }, 'temperature: must be at most 2'],
  [{ top_p: 0 }, 'top_p: must be greater than 0'],
  [{ seed: 0.5 }, 'seed: must be an integer'],
  [{ stop: '' }, 'stop[0]: must not be empty'],
  [{ stop: ['x'.repeat(257)] }, 'stop[0]: must have at most 256 characters'],
  [{ stop: Array(65).fill('x') }, 'stop: must have at most 64 items, got 65'],
  [{ stop_token_ids: [990] }, 'stop_token_ids: 990 is not a token id; must be 0 to 989'],
  [{ logit_bias: { the: 1 } }, 'logit_bias.the: must be a token id'],
  [{ logit_bias: [1] }, 'logit_bias: must be an object'],
  [{ stream: 'yes' }, 'stream: must be true or false'],
  [{ stream_options: { include_usage: 1 } }, 'stream_options.include_usage: must be true or false'],
];

/** Fields of a chat, and the message that refuses them. */
const CHAT_MESSAGES: readonly [Record<string, unknown>, string][] = [
  [{ messages: undefined }, 'messages: is required'],
  [{ messages: 'hello' }, 'messages: must be an array'],
  [{ messages: ['hello'] }, 'messages[0]: must be an object'],
  [{ messages: [{ role: 'user' }] }, 'messages[0].content: is required'],
  [
    { messages: [{ role: 'king', content: 'x' }] },
    'messages[0].role: must be one of "system", "developer", "user", "assistant", "tool", "function"',
  ],
];

describe('bad input', () => {
  it.each([
    ['completion', '/v1/completions', { prompt: 'x' }, COMPLETION_MESSAGES],
    ['chat', '/v1/chat/completions', { messages: [hello] }, CHAT_MESSAGES],
  ] as const)('is refused in a %s with a message that says what is allowed', async (_, path, valid, messages) => {
    const { post } = await testServer();
    for (const [fields, message] of messages) {
      const response = await post(path, { ...valid, ...fields });
      expect(await response.json()).toMatchObject({ error: { message } });
    }
  });

  it.each(COMPLETIONS)('in a completion: %s is a 400 that names the field', async (_, fields, param) => {
    await refused('/v1/completions', { model: 'recall', prompt: 'x', ...fields }, param);
  });

  it.each(CHATS)('in a chat: %s is a 400 that names the field', async (_, fields, param) => {
    await refused('/v1/chat/completions', { model: 'recall', messages: [hello], ...fields }, param);
  });

  it.each(BODIES)('as a whole: %s is refused', async (_, body, headers, status) => {
    const { post, fleet } = await testServer();
    const response = await post('/v1/completions', body, headers);
    expect(response.status).toBe(status);
    expect(((await response.json()) as ErrorAnswer).error.message).not.toBe('');
    expect(fleet.asked).toEqual([]);
    fleet.script = () => saying(idsOf(' yes'));
    expect((await post('/v1/completions', { prompt: 'x' })).status).toBe(200);
  });

  it('accepts messages of tools and functions, refusals, and messages without a name', async () => {
    const { post } = await testServer();
    const call = { id: 'c', type: 'function', function: { name: 'clock', arguments: '{}' } };
    const messages = [
      { role: 'user', content: 'x', name: null },
      { role: 'assistant', tool_calls: [call] },
      { role: 'tool', tool_call_id: 'c', content: 'noon' },
      { role: 'assistant', content: [{ type: 'refusal', refusal: 'no' }] },
      { role: 'function', name: 'clock', content: 'noon' },
    ];
    expect((await post('/v1/chat/completions', { messages })).status).toBe(200);
  });

  it('accepts 64-bit seeds', async () => {
    const { post, fleet } = await testServer();
    for (const seed of [2 ** 63, -(2 ** 63)])
      expect((await post('/v1/completions', { prompt: 'x', seed })).status).toBe(200);
    const seeds = fleet.asked.map(({ request }) => request.sampling.seed);
    expect(seeds.every((seed) => Number.isSafeInteger(seed))).toBe(true);
  });

  it('that ends early counts as a client error', async () => {
    const { url, logged, metric } = await testServer();
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.write('POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n');
    socket.write('content-type: application/json\r\ncontent-length: 100\r\n\r\n{"prompt":', () => socket.destroy());
    await vi.waitFor(async () => expect(await metric('shoal_requests_total{status="499"}')).toBe(1));
    expect(await metric('shoal_requests_total{status="500"}')).toBe(0);
    expect(logged.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  });

  it('answers an unknown expectation with a 417 and the request id', async () => {
    const { url } = await testServer();
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.end(
      'GET /version HTTP/1.1\r\nhost: localhost\r\nexpect: a-miracle\r\nx-request-id: me\r\nconnection: close\r\n\r\n',
    );
    const answer = await text(socket);
    expect(answer).toMatch(/^HTTP\/1.1 417 /);
    expect(answer).toContain('x-request-id: me');
  });

  it('reports the length of a prompt and the limit', async () => {
    const { post } = await testServer();
    const response = await post('/v1/completions', { prompt: 'harbor '.repeat(600) });
    const { error } = (await response.json()) as ErrorAnswer;
    expect(error.code).toBe('context_length_exceeded');
    expect(error.message).toContain(String(long));
    expect(error.message).toContain(String(CONTEXT_TOKENS));
  });

  it('reports how many log-probabilities an answer would have, the limit, and the fields that request them', async () => {
    const { post } = await testServer();
    const response = await post('/v1/completions', { ...ECHO, prompt: Array(64).fill(Array(400).fill(1)) });
    const { error } = (await response.json()) as ErrorAnswer;
    for (const part of [64 * 400 * 21, ANSWER_LOGPROBS, 'logprobs', 'max_tokens', 'echo', 'prompt']) {
      expect(error.message).toContain(String(part));
    }
  });

  it('never quotes a prompt in errors or logs', async () => {
    const { post, logged } = await testServer();
    const bodies = ['{"prompt":"hush" hush}', '{"prompt":"hush","n":"x"}', '{"prompt":["hush",3]}'];
    const answers = await Promise.all(bodies.map(async (body) => (await post('/v1/completions', body)).text()));
    expect(answers.join() + logged.join()).not.toContain('hush');
  });

  it('treats null as an absent field, and ignores unknown fields', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying(idsOf(' yes'));
    const nothing = { n: null, temperature: null, stop: null, logit_bias: null, stream_options: null, logprobs: null };
    const response = await post('/v1/completions', { prompt: 'x', ...nothing, best_of: null, __other__: [{}] });
    expect(response.status).toBe(200);
    expect(fleet.asked[0]!.request.sampling.temperature).toBe(MODEL.defaults.temperature ?? 1);
  });

  async function refused(path: string, body: object, param: string): Promise<void> {
    const { post, fleet } = await testServer();
    const response = await post(path, body);
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as ErrorAnswer;
    expect(error).toMatchObject({ type: 'invalid_request_error', param });
    expect(error.message.length).toBeGreaterThan(param.length + 5);
    expect(fleet.asked).toEqual([]);
  }
});

it('half of a surrogate pair is refused in the salt of each route, and a whole pair is not', async () => {
  const { post, fleet } = await testServer();
  fleet.script = () => saying(idsOf(' the harbor'));
  for (const [path, fields] of [
    ['/v1/completions', { prompt: 'x', max_tokens: 2 }],
    ['/v1/chat/completions', { messages: [hello], max_tokens: 2 }],
    ['/v1/cache/explain', { prompt: 'x' }],
  ] as const) {
    for (const [cache_salt, status] of [
      ['\ud83d', 400],
      ['\ud83d\ude00', 200],
    ] as const) {
      expect([path, (await post(path, { ...fields, cache_salt })).status]).toEqual([path, status]);
    }
  }
  expect((await post('/v1/cache/pin', { prompt: 'x', cache_salt: '\ud83d' })).status).toBe(400);
});
