import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { REPEAT_GRACE_MS, REPEAT_LIMITS } from '../../../coordinator/http/repeats.js';
import { SimulatedClock } from '../../../src/clock.js';
import { ownerDigest, saltDigest } from '../../../src/core/salt.js';
import { Overloaded, Unavailable } from '../../../src/errors.js';
import { aborted, failing, saying, started } from './support/scripted-fleet.js';
import { idsOf, testServer } from './support/test-server.js';

const ID = { 'x-request-id': 'mine' };
const body = { prompt: 'x', max_tokens: 3 };
const streamed = { ...body, stream: true, stream_options: { include_usage: true } };

/** A script that says one token, and the rest once it is told to. */
function held() {
  let goOn = () => {};
  const told = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const script = async function* (_: unknown, signal: AbortSignal) {
    yield started();
    yield { type: 'tokens' as const, ids: idsOf(' the') };
    await Promise.race([told, aborted(signal)]);
    signal.throwIfAborted();
    yield { type: 'tokens' as const, ids: idsOf(' harbor') };
    yield { type: 'end' as const, reason: 'stop' as const, token: null };
  };
  return { script, goOn };
}

describe('a repeated request', () => {
  it('gets the finished answer, whole or as a stream from its start', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying(idsOf(' the harbor'));
    for (const [path, request] of [
      ['/v1/completions', body],
      ['/v1/completions', streamed],
      ['/v1/completions', { ...body, n: 3 }],
      ['/v1/chat/completions', { ...streamed, prompt: undefined, messages: [{ role: 'user', content: 'x' }], n: 2 }],
    ] as const) {
      const before = fleet.asked.length;
      const answers = [];
      for (let i = 0; i < 2; i++) {
        const response = await post(path, request, ID);
        answers.push([response.status, response.headers.get('content-type'), await response.text()]);
      }
      expect(answers[1]).toEqual(answers[0]);
      expect(answers[0]![2]).toContain('"id":');
      expect(fleet.asked.length - before).toBe('n' in request ? request.n : 1);
    }
  });

  it('joins the running answer', async () => {
    const { post, fleet } = await testServer();
    for (const request of [body, streamed]) {
      const before = fleet.asked.length;
      const { script, goOn } = held();
      fleet.script = script;
      const first = post('/v1/completions', request, ID).then((response) => response.text());
      const second = post('/v1/completions', request, ID).then((response) => response.text());
      await expect.poll(() => fleet.asked.length).toBe(before + 1);
      goOn();
      const text = await first;
      expect(text).toContain(' harbor');
      expect(await second).toBe(text);
      expect(fleet.asked.length).toBe(before + 1);
    }
  });

  it.each([
    ['another body', { ...body, max_tokens: 2 }, ID],
    ['another id', body, { 'x-request-id': 'other' }],
    ['no id of its own', body, {}],
    ['an invalid id', body, { 'x-request-id': 'not valid' }],
  ])('is another request with %s', async (_, request, headers) => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying(idsOf(' the harbor'));
    for (const [each, sent] of [[body, ID] as const, [request, headers] as const, [request, headers] as const]) {
      expect((await post('/v1/completions', each, sent)).status).toBe(200);
    }
    expect(fleet.asked).toHaveLength('x-request-id' in headers && headers['x-request-id'] !== 'not valid' ? 2 : 3);
  });

  it('is another request with another key', async () => {
    const keys = ['key-of-one-tenant', 'key-of-another-one'];
    const { post, fleet } = await testServer({ apiKeys: keys });
    fleet.script = () => saying(idsOf(' the harbor'));
    for (const key of [...keys, ...keys])
      await post('/v1/completions', body, { ...ID, authorization: `Bearer ${key}` });
    expect(fleet.asked).toHaveLength(2);
  });

  it('is computed again a minute after the answer', async () => {
    const clock = new SimulatedClock(1_000_000);
    const { post, fleet } = await testServer({}, clock);
    fleet.script = () => saying(idsOf(' the harbor'));
    await (await post('/v1/completions', body, ID)).text();
    await clock.advance(REPEAT_LIMITS.windowMs - 1);
    await (await post('/v1/completions', body, ID)).text();
    expect(fleet.asked).toHaveLength(1);
    await clock.advance(1);
    await (await post('/v1/completions', body, ID)).text();
    expect(fleet.asked).toHaveLength(2);
  });

  it('is computed again once the answers of its tenant or its salt are forgotten, also while it runs', async () => {
    const { post, fleet, forgetAnswers } = await testServer({ apiKeys: ['key-of-one-tenant', 'key-of-another-one'] });
    fleet.script = () => saying(idsOf(' the harbor'));
    const ask = async (key: string, cache_salt?: string) => {
      const before = fleet.asked.length;
      const headers = { ...ID, authorization: `Bearer ${key}` };
      await (await post('/v1/completions', { ...body, cache_salt }, headers)).text();
      return fleet.asked.length - before;
    };
    const askAll = async () => [
      await ask('key-of-one-tenant'),
      await ask('key-of-one-tenant', 'x'),
      await ask('key-of-another-one'),
    ];
    expect([await askAll(), await askAll()]).toEqual([
      [1, 1, 1],
      [0, 0, 0],
    ]);
    const owner = createHash('sha256').update('shoal api key\0key-of-one-tenant').digest('hex');
    expect(forgetAnswers({ by: 'salt', digest: saltDigest(`${owner}:x`) })).toBe(1);
    expect(await askAll()).toEqual([0, 1, 0]);
    expect(forgetAnswers({ by: 'owner', digest: ownerDigest(owner) })).toBe(2);
    expect(await askAll()).toEqual([1, 1, 0]);
    const { script, goOn } = held();
    fleet.script = script;
    const running = ask('key-of-one-tenant', 'runs');
    await expect.poll(() => fleet.asked.at(-1)?.request.salt).toBe(`${owner}:runs`);
    expect(forgetAnswers({ by: 'salt', digest: saltDigest(`${owner}:runs`) })).toBe(1);
    goOn();
    expect([await running, await ask('key-of-one-tenant', 'runs')]).toEqual([1, 1]);
  });

  it('is computed again after an error, also one in mid-stream', async () => {
    const { post, fleet } = await testServer();
    for (const [error, status] of [
      [new Overloaded('full'), 429],
      [new Unavailable('no worker'), 503],
    ] as const) {
      fleet.script = () => failing(error);
      expect((await post('/v1/completions', body, ID)).status).toBe(status);
    }
    fleet.script = async function* () {
      yield started();
      yield { type: 'tokens', ids: idsOf(' the') };
      throw new Unavailable('no worker is left');
    };
    expect(await (await post('/v1/completions', streamed, ID)).text()).toContain('no worker is left');
    fleet.script = () => saying(idsOf(' harbor'));
    for (const request of [body, streamed])
      expect(await (await post('/v1/completions', request, ID)).text()).toContain(' harbor');
    expect(fleet.asked).toHaveLength(5);
  });
});

describe('an answer that several clients wait for', () => {
  const begin = async (server: Awaited<ReturnType<typeof testServer>>, request: object) => {
    const leave = new AbortController();
    const answer = fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...ID },
      body: JSON.stringify(request),
      signal: leave.signal,
    }).then((response) => response.text());
    answer.catch(() => {});
    await expect.poll(() => server.fleet.asked.length).toBe(1);
    return { leave, answer };
  };
  /** Resolves when the server has seen so many of its clients go. */
  const gone = (server: Awaited<ReturnType<typeof testServer>>, clients: number) =>
    expect.poll(() => server.logged.filter((line) => line.includes('"status":499')).length).toBe(clients);

  it.each([['whole', body] as const, ['streamed', streamed] as const])(
    'goes on for the second when the first disconnects: %s',
    async (_, request) => {
      const server = await testServer({}, new SimulatedClock(1_000_000));
      const { script, goOn } = held();
      server.fleet.script = script;
      const first = await begin(server, request);
      first.leave.abort();
      await expect(first.answer).rejects.toThrow();
      await gone(server, 1);
      expect(server.fleet.asked[0]!.signal.aborted).toBe(false);
      const second = server.post('/v1/completions', request, ID);
      goOn();
      const text = await (await second).text();
      expect(text).toMatch(/ the.* harbor/s);
      expect(server.fleet.asked).toHaveLength(1);
    },
  );

  it.each([['whole', body] as const, ['streamed', streamed] as const])(
    'is cancelled a while after the last has disconnected: %s',
    async (_, request) => {
      const clock = new SimulatedClock(1_000_000);
      const server = await testServer({}, clock);
      server.fleet.script = held().script;
      const first = await begin(server, request);
      first.leave.abort();
      await expect(first.answer).rejects.toThrow();
      await gone(server, 1);
      await clock.advance(REPEAT_GRACE_MS - 1);
      expect(server.fleet.asked[0]!.signal.aborted).toBe(false);
      await clock.advance(1);
      await aborted(server.fleet.asked[0]!.signal);
      await expect.poll(() => server.metric('shoal_requests_running')).toBe(0);
      server.fleet.script = () => saying(idsOf(' harbor'));
      expect(await (await server.post('/v1/completions', request, ID)).text()).toContain(' harbor');
      expect(server.fleet.asked).toHaveLength(2);
    },
  );

  it('is ended when the server closes', async () => {
    const server = await testServer({ closeGraceMs: 0 });
    server.fleet.script = held().script;
    const first = await begin(server, streamed);
    await server.close();
    await aborted(server.fleet.asked[0]!.signal);
    expect(await first.answer).toContain('"type":"service_unavailable_error"');
  });

  it('does not outlive the server, if its clients are gone', async () => {
    const server = await testServer({ closeGraceMs: 0 }, new SimulatedClock(1_000_000));
    server.fleet.script = held().script;
    const first = await begin(server, body);
    first.leave.abort();
    await gone(server, 1);
    await server.close();
    await aborted(server.fleet.asked[0]!.signal);
  });
});
