import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { expect, it, onTestFinished } from 'vitest';
import { REPEAT_GRACE_MS } from '../../../../coordinator/http/repeats.js';
import { SimulatedClock } from '../../../../src/clock.js';
import { aborted, saying } from '../support/scripted-fleet.js';
import { testServer } from '../support/test-server.js';

const KEY = 'a-key-of-enough-characters';
const headers = { authorization: `Bearer ${KEY}` };

function limitedTo(limits: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-limits-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'keys.yaml');
  writeFileSync(path, `keys:\n  - { id: ann, secret: ${KEY}, tenant: acme, limits: ${limits} }\n`);
  return path;
}

it('an answer tells what is left, as a whole or as a stream, and a refusal when to come again', async () => {
  const keysFile = limitedTo('{ requests_per_minute: 6, burst: 3, tokens_per_minute: 500 }');
  const { post, fleet, url } = await testServer({ keysFile }, new SimulatedClock(1_000));
  fleet.script = () => saying([5, 6, 7]);
  const ask = (body: object) => post('/v1/completions', { prompt: [5, 6], max_tokens: 3, ...body }, headers);
  const whole = await ask({});
  expect(whole.headers.get('x-ratelimit-limit-requests')).toBe('6');
  expect(whole.headers.get('x-ratelimit-remaining-requests')).toBe('2');
  expect(whole.headers.get('x-ratelimit-remaining-tokens')).toBe('498');
  await whole.text();
  const stream = await ask({ stream: true });
  expect(stream.headers.get('content-type')).toMatch('text/event-stream');
  expect(stream.headers.get('x-ratelimit-remaining-requests')).toBe('1');
  expect(stream.headers.get('x-ratelimit-remaining-tokens')).toBe('493');
  await stream.text();
  const tokenized = await post('/tokenize', { prompt: 'x' }, headers);
  expect(tokenized.headers.get('x-ratelimit-remaining-requests')).toBe('0');
  const refused = await ask({});
  expect(refused.status).toBe(429);
  expect(refused.headers.get('retry-after')).toBe('10');
  expect(refused.headers.get('x-ratelimit-reset-requests')).toBe('30s');
  expect(await refused.json()).toMatchObject({ error: { type: 'rate_limit_error', code: 'rate_limit_exceeded' } });
  expect(fleet.asked).toHaveLength(2);
  // Reading is free.
  expect((await fetch(`${url}/v1/models`, { headers })).status).toBe(200);
});

it('no request may use more than the day leaves, whatever it asks for; one without a length is cut there', async () => {
  const keysFile = limitedTo('{ tokens_per_day: 50 }');
  const { post, fleet } = await testServer({ keysFile }, new SimulatedClock(1_000));
  fleet.script = () => saying([5, 6, 7]);
  const ask = (body: object, path = '/v1/completions') => post(path, { ignore_eos: true, ...body }, headers);
  for (const body of [
    { prompt: [5, 6], max_tokens: 49 },
    { prompt: [5, 6], max_tokens: 3, n: 17 },
    { prompt: Array.from({ length: 10 }, () => [5]), max_tokens: 5 },
    { prompt: Array.from({ length: 51 }, () => 5), max_tokens: 1 },
  ]) {
    const refused = await ask(body);
    expect([refused.status, await refused.json()]).toMatchObject([429, { error: { code: 'request_too_large' } }]);
  }
  expect(fleet.asked).toEqual([]);
  expect((await ask({ prompt: [5, 6], max_tokens: 3 })).status).toBe(200);
  const late = await ask({ prompt: [5, 6], max_tokens: 44 });
  expect([late.status, Number(late.headers.get('retry-after')) > 1]).toEqual([429, true]);
  expect((await ask({ messages: [{ role: 'user', content: 'x' }] }, '/v1/chat/completions')).status).toBe(200);
  const { tokens, stopping } = fleet.asked.at(-1)!.request;
  expect(tokens.length + stopping.maxTokens).toBe(45);
});

it('a pin counts the tokens of its prompt, and belongs to the tenant whose share computes them', async () => {
  const keysFile = limitedTo('{ tokens_per_minute: 500 }, priority: 4');
  const { post, retentions, trail } = await testServer({ keysFile }, new SimulatedClock(1_000));
  const pin = (tokens: number[]) => post('/v1/cache/pin', { tokens }, headers);
  const pinned = await pin(new Array(300).fill(5));
  expect([pinned.status, pinned.headers.get('x-ratelimit-remaining-tokens')]).toEqual([200, '200']);
  const refused = await pin(new Array(201).fill(5));
  expect(await refused.json()).toMatchObject({ error: { code: 'rate_limit_exceeded' } });
  expect(retentions.orders.map(({ tenant }) => tenant)).toEqual([{ name: 'acme', weight: 4 }]);
  expect(trail).toMatchObject([{ tokens: { prompt: 300 } }, { decision: 'refused' }]);
});

it("OpenAI's client waits as long as it is told, and then gets its answer", async () => {
  const { fleet, url } = await testServer({ keysFile: limitedTo('{ requests_per_minute: 60, burst: 1 }') });
  fleet.script = () => saying([5]);
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY, maxRetries: 2 });
  const ask = () => client.completions.create({ model: 'recall', prompt: 'x', max_tokens: 1 });
  const startedMs = performance.now();
  await ask();
  await ask();
  expect(performance.now() - startedMs).toBeGreaterThan(900);
});

it('a request that is running counts until its client has its answer or is gone', async () => {
  const { post, fleet } = await testServer({ keysFile: limitedTo('{ concurrent: 1 }') });
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  fleet.script = async function* () {
    await gate;
    yield* saying([5]);
  };
  const ask = () => post('/v1/completions', { prompt: 'x' }, headers);
  const first = ask();
  while (fleet.asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
  expect((await ask()).status).toBe(429);
  go();
  expect((await (await first).json()) as object).toHaveProperty('usage');
  expect((await ask()).status).toBe(200);
});

it('a named request counts while it is computed, though its client is gone; its repetition takes no other place', async () => {
  const clock = new SimulatedClock(1_000_000);
  const { url, post, fleet, logged } = await testServer({ keysFile: limitedTo('{ concurrent: 1 }') }, clock);
  const named = (id: string) => ({ ...headers, 'content-type': 'application/json', 'x-request-id': id });
  const request = { prompt: 'x', max_tokens: 3 };
  const ask = async (more: Record<string, string> = headers) => (await post('/v1/completions', request, more)).status;
  let go = () => {};
  const told = new Promise<void>((resolve) => {
    go = resolve;
  });
  fleet.script = async function* (_, signal) {
    await Promise.race([told, aborted(signal)]);
    signal.throwIfAborted();
    yield* saying([5]);
  };
  const vanish = async (id: string, count: number) => {
    const leave = new AbortController();
    const body = JSON.stringify(request);
    const sent = fetch(`${url}/v1/completions`, { method: 'POST', headers: named(id), body, signal: leave.signal });
    await expect.poll(() => fleet.asked.length).toBe(count);
    leave.abort();
    await expect(sent).rejects.toThrow();
    await expect.poll(() => logged.filter((line) => line.includes('"status":499')).length).toBe(count);
  };
  await vanish('first', 1);
  expect([await ask(named('second')), await ask()]).toEqual([429, 429]);
  await clock.advance(REPEAT_GRACE_MS);
  await aborted(fleet.asked[0]!.signal);
  await expect.poll(async () => (await post('/tokenize', { prompt: 'x' }, headers)).status).toBe(200);

  await vanish('third', 2);
  expect(await ask()).toBe(429);
  const repetition = ask(named('third'));
  go();
  expect([await repetition, await ask(), fleet.asked.length]).toEqual([200, 200, 3]);
});
