import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { operatorKey } from '../../../src/operator-key.js';
import { member, saying, sayingForever } from './support/scripted-fleet.js';
import { CONTEXT_TOKENS, idsOf, TEST_SECRET, testServer } from './support/test-server.js';

describe('the routes', () => {
  it('convert text to tokens and back', async () => {
    const { post } = await testServer();
    const tokens = idsOf('The harbor 😀');
    const tokenized = await post('/tokenize', { prompt: 'The harbor 😀' });
    expect(await tokenized.json()).toEqual({ count: tokens.length, max_model_len: CONTEXT_TOKENS, tokens });
    expect(await (await post('/detokenize', { tokens })).json()).toEqual({ prompt: 'The harbor 😀' });
    const chat = await post('/tokenize', { messages: [{ role: 'developer', content: 'Be brief.' }] });
    expect(await chat.json()).toMatchObject({ tokens: idsOf('Be brief.\n') });
    expect((await post('/tokenize', {})).status).toBe(400);
    expect(await (await post('/detokenize', { tokens: [1, 990] })).json()).toMatchObject({
      error: { param: 'tokens[1]' },
    });
    expect((await post('/detokenize', { tokens: Array(300_000).fill(1) })).status).toBe(400);
  });

  it('answer many prompts at once without a warning on stderr', async () => {
    const { post, fleet } = await testServer();
    const warned: Error[] = [];
    const note = (warning: Error) => void warned.push(warning);
    process.on('warning', note);
    onTestFinished(() => void process.off('warning', note));
    fleet.script = () => saying(idsOf(' yes'));
    expect((await post('/v1/completions', { prompt: Array(40).fill('x') })).status).toBe(200);
    await new Promise((resolve) => setImmediate(resolve));
    expect(warned).toEqual([]);
  });

  it('show the fleet', async () => {
    const { url } = await testServer();
    expect(await (await fetch(`${url}/v1/fleet`)).json()).toEqual({
      model: 'recall',
      replicas: 2,
      epoch: '0000000000ff',
      ring: ['w1'],
      coordinators: [{ id: 'c1', pid: 7, host: 'here' }],
      workers: [
        {
          id: 'w1',
          incarnation: 'w1-1',
          pid: 11,
          host: 'here',
          device: 'cpu',
          device_reason: 'cpu was asked for',
          context: { tokens: 4096, reason: '--context' },
          trial: null,
          state: 'serving',
          quarantined: null,
          address: 'tcp://10.0.0.1:7001',
          blocks: 3,
          bytes: { device: 10, host: 20 },
          budget: { device: 100, host: 200 },
          running: 1,
          waiting: 0,
          hit_rate: 0.5,
        },
      ],
    });
  });

  it('drain a worker that is there, and take that back', async () => {
    const { post, fleet } = await testServer();
    expect(await (await post('/v1/fleet/workers/w1/drain', {})).json()).toEqual({ id: 'w1', state: 'draining' });
    expect(await (await post('/v1/fleet/workers/w1/undrain', {})).json()).toEqual({ id: 'w1', state: 'serving' });
    for (const order of ['drain', 'undrain'])
      expect((await post(`/v1/fleet/workers/w9/${order}`, {})).status).toBe(404);
    expect(fleet.calls).toEqual(['drain w1', 'undrain w1']);
  });

  it('take profiles for operators', async () => {
    const { url } = await testServer({ apiKeys: ['first-key-of-a-user', 'second-key-of-a-user'] });
    const headers = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });
    expect((await fetch(`${url}/debug/profile`, headers('first-key-of-a-user'))).status).toBe(403);
    const operator = headers(operatorKey(TEST_SECRET));
    const profile = await fetch(`${url}/debug/profile?kind=loop&seconds=1`, operator);
    expect(await profile.json()).toMatchObject({ utilization: expect.any(Number) });
    expect((await fetch(`${url}/debug/profile?kind=snapshot`, operator)).status).toBe(400);
  });

  it('recommend a number of workers, and say which one is to leave and when it can', async () => {
    const { url, fleet } = await testServer();
    const get = async (path: string) => (await fetch(url + path)).json();
    expect(await get('/v1/fleet/recommendation')).toEqual({
      workers: { serving: 1, wanted: 1 },
      why: ['none may leave'],
      leave: null,
    });
    fleet.workers = [{ ...member('w1'), blocks: 9 }, member('w2'), { ...member('w3'), blocks: 0, state: 'draining' }];
    fleet.advice = { serving: 2, wanted: 1, why: ['one may leave'] };
    expect(await get('/v1/fleet/recommendation')).toMatchObject({ workers: { serving: 2, wanted: 1 }, leave: 'w2' });
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('shoal_fleet_workers_wanted 1');
    expect(await get('/v1/fleet/workers/w3/drain')).toEqual({
      ...{ id: 'w3', state: 'draining', running: 1, waiting: 0, blocks: 3, last_copies: 2 },
      ...{ safe: false, why: '1 requests have not ended' },
    });
    expect((await fetch(`${url}/v1/fleet/workers/w9/drain`)).status).toBe(404);
  });

  it('name the workers that make wrong blocks, and pardon them', async () => {
    const { post, url, fleet } = await testServer();
    const { incarnation } = fleet.workers[0]!;
    fleet.quarantined = [{ maker: { id: 'w1', incarnation }, standing: 'quarantined', voters: ['w2', 'w3'] }];
    const { workers } = (await (await fetch(`${url}/v1/fleet`)).json()) as { workers: { quarantined: unknown }[] };
    expect(workers.map(({ quarantined }) => quarantined)).toEqual([{ by: ['w2', 'w3'] }]);
    const pardon = await post('/v1/fleet/workers/w1/pardon', {});
    expect(await pardon.json()).toEqual({ id: 'w1', quarantined: null });
    expect((await post('/v1/fleet/workers/w9/pardon', {})).status).toBe(404);
    expect(fleet.calls).toEqual(['pardon w1', 'pardon w9']);
  });

  it('explain a prompt and reset the cache', async () => {
    const { post, fleet } = await testServer();
    const explained = await post('/v1/cache/explain', { prompt: 'the', cache_salt: 'pepper' });
    expect(await explained.json()).toEqual({
      tokens: idsOf('the').length,
      blocks: [{ index: 0, key: 'ab', homes: ['w1'], holders: [], tiers: {}, state: 'miss', reason: 'never computed' }],
      would_run_on: 'w1',
    });
    await post('/v1/cache/explain', { tokens: [1, 2, 3] });
    expect((await post('/v1/cache/explain', { tokens: [1], prompt: 'x' })).status).toBe(400);
    expect((await post('/reset_prefix_cache', '')).status).toBe(200);
    expect(fleet.calls).toEqual([`explain ${idsOf('the').length} pepper`, 'explain 3 null', 'reset']);
  });

  it('say that the coordinator runs, and how much it answers', async () => {
    const { url, post, fleet } = await testServer();
    expect((await fetch(`${url}/ping`)).status).toBe(200);
    expect((await post('/ping', '')).status).toBe(200);
    const load = async () => (await fetch(`${url}/load`)).json();
    expect(await load()).toEqual({ server_load: 0 });
    fleet.script = (_, signal) => sayingForever(idsOf(' yes'), signal);
    const running = await post('/v1/completions', { prompt: 'the', n: 2, stream: true });
    expect(await load()).toEqual({ server_load: 2 });
    await running.body!.cancel();
  });

  it('report the health of the fleet', async () => {
    const { url, fleet } = await testServer();
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    const nats = { name: 'nats', ok: false, required: false, latencyMs: 1, detail: 'not connected' };
    const workers = { name: 'workers', ok: true, required: true, latencyMs: 0, detail: '3 serving' };
    fleet.checks = [nats, workers];
    const degraded = await fetch(`${url}/health/ready`);
    expect(degraded.status).toBe(200);
    expect(await degraded.json()).toMatchObject({ status: 'degraded', degraded: 'nats' });
    fleet.checks = [{ ...workers, ok: false, latencyMs: 2, detail: 'none serves' }];
    const health = await fetch(`${url}/health`);
    expect(health.status).toBe(503);
    expect(await health.json()).toEqual({
      status: 'unavailable',
      checks: [{ name: 'workers', ok: false, latency_ms: 2, detail: 'none serves' }],
    });
    fleet.health = () => Promise.reject(new Error('no answer'));
    expect(await (await fetch(`${url}/health/ready`)).json()).toMatchObject({
      checks: [{ ok: false, detail: 'no answer' }],
    });
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
  });

  it('report the version and the metrics', async () => {
    const { url, post, fleet } = await testServer();
    fleet.script = () => saying(idsOf(' the harbor.'));
    await post('/v1/completions', { prompt: 'x' });
    await post('/v1/completions', { prompt: '' });
    await post('/v1/completions', '{', {});
    await post('/tokenize', { prompt: 'x' });
    expect(await (await fetch(`${url}/version`)).json()).toEqual({ version: '1.2.3' });
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text).toContain('shoal_requests_total{status="200"} 1');
    expect(text).toContain('shoal_requests_total{status="400"} 2');
    expect(text).toContain('shoal_prompt_tokens_total{source="remote"} 32');
    expect(text).toContain('shoal_generated_tokens_total 3');
    expect(text).toContain('shoal_time_to_first_token_seconds_count 1');
    expect(text).toContain('shoal_inter_token_latency_seconds_count 2');
    expect(text).toContain('shoal_fleet_workers{state="serving"} 1');
    expect(text).toContain('shoal_requests_running 0');
    expect(text).toContain('shoal_requests_waiting 0');
  });

  it('answer unknown paths and methods with the common error body', async () => {
    const { url } = await testServer();
    const unknown = await fetch(`${url}/v1/nothing?prompt=hush`);
    expect(unknown.status).toBe(404);
    expect(await unknown.json()).toMatchObject({
      error: { type: 'invalid_request_error', message: 'no route for GET /v1/nothing' },
    });
    const wrong = await fetch(`${url}/v1/completions`);
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST']);
    expect(await wrong.json()).toMatchObject({ error: { code: 'method_not_allowed' } });
    expect((await fetch(`${url}/v1/%zz`)).status).toBe(400);
  });

  it('answer bytes that are not HTTP', async () => {
    const { url } = await testServer();
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.end('not http at all\r\n\r\n');
    let answer = '';
    for await (const bytes of socket) answer += String(bytes);
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(JSON.parse(answer.slice(answer.indexOf('{')))).toMatchObject({ error: { code: 'malformed_http' } });
  });

  it("carry the client's request id if it is safe, else a random one", async () => {
    const { url } = await testServer();
    const idFor = async (id: string, path = '/version') =>
      (await fetch(url + path, { headers: { 'x-request-id': id } })).headers.get('x-request-id');
    expect(await idFor('mine-1_a')).toBe('mine-1_a');
    expect(await idFor('mine', '/nowhere')).toBe('mine');
    expect(await idFor('not sane; at all')).toMatch(/^[0-9a-f-]{36}$/);
    expect(await idFor('x'.repeat(129))).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('fail to start on an address that is taken, with an error that names it', async () => {
    const { url } = await testServer();
    const port = Number(new URL(url).port);
    await expect(testServer({ port })).rejects.toThrow(
      new RegExp(`cannot listen on 127.0.0.1:${port}: .*EADDRINUSE.*--port`),
    );
  });

  it('send a request to the worker it names, if routing is allowed', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying([]);
    await post('/v1/completions', { prompt: 'x' }, { 'x-shoal-worker': 'w2' });
    await post('/v1/completions', { prompt: 'x' });
    expect(fleet.asked.map(({ request }) => request.worker)).toEqual(['w2', null]);
    const strict = await testServer({ allowRouting: false });
    const response = await strict.post('/v1/completions', { prompt: 'x' }, { 'x-shoal-worker': 'w2' });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ error: { type: 'permission_error' } });
  });

  it('accept a bounded number of sequences', async () => {
    const { post, fleet } = await testServer({ maxRequests: 2 });
    fleet.script = () => saying([]);
    expect((await post('/v1/completions', { prompt: 'x', n: 3 })).status).toBe(429);
    for (let i = 0; i < 3; i++) expect((await post('/v1/completions', { prompt: 'x', n: 2 })).status).toBe(200);
  });
});

describe('API keys', () => {
  const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
  const [first, second] = ['first-key-of-a-tenant', 'second-key-of-a-tenant'] as const;

  it('are required for tokens and the fleet, and nowhere else', async () => {
    const { url, post } = await testServer({ apiKeys: [first, second] });
    for (const path of [
      '/v1/completions',
      '/v1/chat/completions',
      '/tokenize',
      '/detokenize',
      '/v1/cache/explain',
      '/reset_prefix_cache',
    ]) {
      const response = await post(path, {}, bearer('third'));
      expect([path, response.status]).toEqual([path, 401]);
      expect(await response.json()).toMatchObject({ error: { type: 'authentication_error', code: 'invalid_api_key' } });
    }
    for (const path of ['/v1/fleet', '/metrics']) expect([path, (await fetch(url + path)).status]).toEqual([path, 401]);
    expect((await fetch(`${url}/v1/models`, { headers: bearer(second) })).status).toBe(200);
    for (const path of ['/health/live', '/health', '/version']) {
      expect([path, (await fetch(url + path)).status]).toEqual([path, 200]);
    }
  });

  it('separate the prefixes of tenants, even if they send the same salt', async () => {
    const { post, fleet, logged } = await testServer({ apiKeys: [first, second] });
    fleet.script = () => saying([]);
    const ask = (key: string, cache_salt?: string) => post('/v1/completions', { prompt: 'x', cache_salt }, bearer(key));
    await ask(first);
    await ask(first, 'a');
    await ask(second, 'a');
    await ask(first, 'a');
    const salts = fleet.asked.map(({ request }) => request.salt);
    expect(new Set(salts).size).toBe(3);
    expect(salts[1]).toBe(salts[3]);
    expect(salts.join() + logged.join()).not.toMatch(/first|second/);
  });

  it('are not required for a salt', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying([]);
    await post('/v1/completions', { prompt: 'x', cache_salt: 'a' });
    expect(fleet.asked[0]!.request.salt).toBe('a');
  });
});
