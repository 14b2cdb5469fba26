import { describe, expect, it } from 'vitest';
import { collectGarbage } from '../../../bench/garbage.js';
import type { FleetEvent, FleetRequest } from '../../../coordinator/fleet.js';
import { ANSWER_LOGPROBS } from '../../../coordinator/openai/logprob-count.js';
import { LogprobRoom, LogprobShare } from '../../../coordinator/openai/logprob-room.js';
import { type Demand, planChoices } from '../../../coordinator/openai/plan.js';
import { TokenReports } from '../../../coordinator/openai/token-reports.js';
import { Overloaded } from '../../../src/errors.js';
import { PROMPT_TOKENS } from '../../../src/limits.js';
import type { TokenLogprobs } from '../../../src/protocol/generate.js';
import { aborted, saying, started } from './support/scripted-fleet.js';
import { idsOf, MODEL, testServer } from './support/test-server.js';

const QUESTION = [{ role: 'user', content: 'x' }];
const ECHO = { prompt: Array(100).fill(5), max_tokens: 0, echo: true, logprobs: 1 };

/** Log-probabilities that are distinct for each token and alternative. */
const logprobsOf = (index: number, alternatives: number): TokenLogprobs => ({
  logprob: -index / 7,
  top: Array.from({ length: alternatives }, (_, rank): [number, number] => [rank + 40, -(index + rank) / 3]),
});
const echoed = ({ tokens, sampling }: FleetRequest) =>
  [...tokens].map((_, i) => (i === 0 ? null : logprobsOf(i, sampling.logprobs ?? 0)));

describe('the log-probabilities of an answer', () => {
  const plan = (demand: Partial<Demand>, n = 1) =>
    planChoices(
      { n },
      {
        ...{ prompts: [], maxTokens: null, defaultMaxTokens: 16, logprobs: null, echo: false, constraint: null },
        ...{ messageOf: null, ...demand },
      },
      { sequenceId: 'a', saltFor: () => null, tenant: null, worker: null },
      { ...MODEL, contextTokens: PROMPT_TOKENS },
      () => 1,
    );
  const prompt = (tokens: number) => ({ tokens: new Uint32Array(tokens).fill(1), text: 'x', param: 'prompt' });
  const logprobs = (value: number) => ({ value, param: 'logprobs' });

  it('are allowed for the longest prompt with one alternative for each token', () => {
    const maxTokens = { value: 0, param: 'max_tokens' };
    const echo = { prompts: [prompt(PROMPT_TOKENS)], maxTokens, echo: true };
    expect(plan({ ...echo, logprobs: logprobs(1) })).toHaveLength(1);
    expect(() => plan({ ...echo, logprobs: logprobs(2) })).toThrow(`${3 * PROMPT_TOKENS}`);
  });

  it('are allowed for a batch of prompts of several thousand tokens', () => {
    const maxTokens = { value: 1, param: 'max_tokens' };
    const prompts = Array.from({ length: 16 }, () => prompt(4_096));
    expect(plan({ prompts, maxTokens, echo: true, logprobs: logprobs(5) })).toHaveLength(16);
  });

  it('limit the length of an answer if the request does not', () => {
    const [choice] = plan({ prompts: [prompt(1)], defaultMaxTokens: PROMPT_TOKENS, logprobs: logprobs(20) }, 4);
    expect(choice!.request.stopping.maxTokens).toBe(Math.floor(ANSWER_LOGPROBS / 4 / 21));
    const [silent] = plan({ prompts: [prompt(1)], defaultMaxTokens: PROMPT_TOKENS }, 4);
    expect(silent!.request.stopping.maxTokens).toBe(PROMPT_TOKENS - 1);
  });

  it('are not limited for generated tokens of a stream', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying([]);
    const many = { n: 100, max_tokens: 300, logprobs: true, top_logprobs: 20 };
    const whole = await post('/v1/chat/completions', { messages: QUESTION, ...many });
    expect(whole.status).toBe(400);
    const stream = await post('/v1/chat/completions', { messages: QUESTION, ...many, stream: true });
    expect(stream.status).toBe(200);
    await stream.text();
    const echo = { prompt: Array(64).fill(Array(500).fill(5)), max_tokens: 0, echo: true, logprobs: 20, stream: true };
    expect((await post('/v1/completions', echo)).status).toBe(400);
  });
});

describe('token reports', () => {
  it('return the tokens added, one by one or appended', () => {
    const [whole, first, rest] = [0, 1, 2].map(() => new TokenReports(MODEL.tokenizer)) as [
      TokenReports,
      TokenReports,
      TokenReports,
    ];
    const given = idsOf('The café 😀').map((id, i) => ({ id, logprobs: i === 0 ? null : logprobsOf(i, i % 4) }));
    for (const [i, { id, logprobs }] of given.entries()) {
      whole.add(id, logprobs, i);
      (i < 3 ? first : rest).add(id, logprobs, i);
    }
    first.append(rest);
    for (const reports of [whole, first]) {
      const all = reports.map((index) => reports.at(index));
      expect(all.map(({ logprob }) => logprob)).toEqual(given.map(({ logprobs }) => logprobs?.logprob ?? null));
      expect(all.map(({ top }) => top.map(({ logprob }) => logprob))).toEqual(
        given.map(({ logprobs }) => (logprobs?.top ?? []).map(([, logprob]) => logprob)),
      );
      expect(all.flatMap(({ bytes }) => bytes)).toEqual([...Buffer.from('The café 😀')]);
      expect(all.map(({ offset }) => offset)).toEqual(given.map((_, i) => i));
      expect(JSON.parse(JSON.stringify(reports.mapLazily((report) => report)))).toEqual(all);
      expect(reports.logprobs).toBe(all.reduce((sum, { top }) => sum + 1 + top.length, 0));
    }
  });

  it('store a log-probability in about thirty bytes', () => {
    const reports = new TokenReports(MODEL.tokenizer);
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 10_000; i++) reports.add(i % 900, logprobsOf(i, 20), i);
    collectGarbage();
    expect((process.memoryUsage().heapUsed - before) / reports.logprobs).toBeLessThan(32);
  });
});

describe('a room for log-probabilities', () => {
  it('enforces its limit, and regains the room of a closed share', () => {
    const room = new LogprobRoom(10);
    const [a, b] = [new LogprobShare(room), new LogprobShare(room)];
    a.growTo(6);
    a.growTo(4);
    b.growTo(4);
    expect(() => b.growTo(5)).toThrow(Overloaded);
    a.close();
    a.close();
    b.growTo(10);
    expect(() => new LogprobShare(room).growTo(1)).toThrow(Overloaded);
  });

  it('gives no room to the share of a disconnected client', () => {
    const room = new LogprobRoom(10);
    const share = new LogprobShare(room);
    share.close();
    share.growTo(10);
    new LogprobShare(room).growTo(10);
  });
});

describe('a coordinator at its limit of log-probabilities', () => {
  it('refuses one more prompt with a 429 and retry-after, and accepts it once the first answer is sent', async () => {
    const { post, fleet } = await testServer({ maxLogprobs: 2 * 100 });
    let goOn = () => {};
    const held = new Promise<void>((resolve) => (goOn = resolve));
    fleet.script = async function* (request) {
      await held;
      yield* saying([], { prompt: echoed(request), reason: 'length' });
    };
    const first = post('/v1/completions', ECHO);
    await until(() => fleet.asked.length === 1);
    const second = await post('/v1/completions', ECHO);
    expect(second.status).toBe(429);
    expect(second.headers.get('retry-after')).toBe('1');
    expect(fleet.asked).toHaveLength(1);
    goOn();
    await (await first).json();
    await untilOk(() => post('/v1/completions', ECHO));
  });

  it('fails a whole answer for lack of room, but not a stream', async () => {
    const { post, fleet } = await testServer({ maxLogprobs: 5 });
    const ids = idsOf(' the harbor is open');
    const logprobs = ids.map((_, i) => logprobsOf(i, 1));
    fleet.script = () => saying(ids, { logprobs });
    const asked = { messages: QUESTION, logprobs: true, top_logprobs: 1 };
    expect((await post('/v1/chat/completions', asked)).status).toBe(429);
    const stream = await post('/v1/chat/completions', { ...asked, stream: true });
    expect(stream.status).toBe(200);
    expect(await stream.text()).toContain('[DONE]');
    expect((await post('/v1/chat/completions', { messages: QUESTION })).status).toBe(200);
  });

  it('regains room when a client disconnects', async () => {
    const { url, post, fleet } = await testServer({ maxLogprobs: 2 * 100 });
    fleet.script = async function* (_, signal): AsyncGenerator<FleetEvent> {
      yield started();
      await aborted(signal);
    };
    const client = new AbortController();
    const gone = fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(ECHO),
      signal: client.signal,
    });
    await until(() => fleet.asked.length === 1);
    client.abort();
    await expect(gone).rejects.toThrow();
    fleet.script = (request) => saying([], { prompt: echoed(request) });
    await untilOk(() => post('/v1/completions', ECHO));
  });

  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setImmediate(resolve));
  }

  async function untilOk(ask: () => Promise<Response>): Promise<void> {
    while ((await ask()).status !== 200) await new Promise((resolve) => setImmediate(resolve));
  }
});

describe('a prompt that fills the context', () => {
  it('is echoed with log-probabilities that come in parts, with max_tokens 0', async () => {
    const { post, fleet } = await testServer();
    fleet.script = async function* (request) {
      const logprobs = echoed(request);
      yield started();
      for (let at = 0; at < logprobs.length; at += 200)
        yield { type: 'prompt', logprobs: logprobs.slice(at, at + 200) };
      yield { type: 'end', reason: 'length', token: null };
    };
    const prompt = Array.from({ length: MODEL.contextTokens }, (_, i) => 40 + (i % 80));
    const response = await post('/v1/completions', { ...ECHO, prompt });
    const { choices } = (await response.json()) as { choices: [{ logprobs: Record<string, unknown[]>; text: string }] };
    const { tokens, token_logprobs, top_logprobs, text_offset } = choices[0].logprobs;
    expect(tokens!.join('')).toBe(choices[0].text);
    expect(token_logprobs).toEqual([null, ...prompt.slice(1).map((_, i) => -(i + 1) / 7)]);
    expect([top_logprobs!.length, top_logprobs![0]]).toEqual([prompt.length, null]);
    expect(text_offset).toHaveLength(prompt.length);
  });
});
