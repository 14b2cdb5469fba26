import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CONTEXT_TOKENS, idsOf, TEMPLATE, testServer } from './support/test-server.js';

const text = 'The amber key is in the harbor. '.repeat(12);
const messages = [
  { role: 'system' as const, content: text, name: undefined },
  { role: 'user' as const, content: 'Where is it?', name: undefined },
];
const tokensOf = (prompt: string) => Uint32Array.from(idsOf(prompt));

describe('POST /v1/cache/pin', () => {
  it('pins a prompt as text, as messages or as token ids, for an hour by default', async () => {
    const { post, retentions } = await testServer();
    const response = await post('/v1/cache/pin', { prompt: text });
    const tokens = tokensOf(text);
    expect([response.status, await response.json()]).toEqual([
      200,
      {
        ...{ id: 'pin-0', object: 'cache.pin', owner: null, state: 'pending', reason: null, share: null, copies: 0 },
        ...{ tokens: tokens.length, blocks: Math.floor(tokens.length / 64) },
        ...{ created_at: 1_700_000_000, expires_at: 1_700_003_600 },
      },
    ]);
    await post('/v1/cache/pin', { messages, ttl_seconds: 60, cache_salt: 'salt' });
    await post('/v1/cache/pin', { messages, add_generation_prompt: false });
    await post('/v1/cache/pin', { tokens: idsOf(text) });
    const rendered = (addGenerationPrompt: boolean) => idsOf(TEMPLATE.render(messages, { addGenerationPrompt }));
    expect(retentions.orders).toMatchObject([
      { tokens, salt: null, owner: null, ttlMs: 3_600_000 },
      { tokens: Uint32Array.from(rendered(true)), salt: 'salt', owner: null, ttlMs: 60_000 },
      { tokens: Uint32Array.from(rendered(false)), salt: null, owner: null, ttlMs: 3_600_000 },
      { tokens: Uint32Array.from(idsOf(text)), salt: null, owner: null, ttlMs: 3_600_000 },
    ]);
  });

  it.each([
    ['prompt', {}],
    ['prompt', { prompt: text, tokens: [1] }],
    ['prompt', { prompt: 7 }],
    ['prompt', { prompt: 'too short' }],
    ['tokens', { tokens: 'x' }],
    ['tokens[1]', { tokens: [1, -1] }],
    ['tokens', { tokens: new Array(CONTEXT_TOKENS).fill(1) }],
    ['messages', { messages: [] }],
    ['messages', { messages: [{ role: 'user', content: 'too short' }] }],
    ['ttl_seconds', { prompt: text, ttl_seconds: 0 }],
    ['ttl_seconds', { prompt: text, ttl_seconds: 1.5 }],
    ['ttl_seconds', { prompt: text, ttl_seconds: 2_592_001 }],
    ['cache_salt', { prompt: text, cache_salt: 7 }],
  ])('refuses a wrong field by name: %s', async (param, body) => {
    const { post, retentions } = await testServer();
    const response = await post('/v1/cache/pin', body);
    expect([response.status, await response.json()]).toMatchObject([400, { error: { param } }]);
    expect(retentions.orders).toEqual([]);
  });

  it.each([
    ['quota', 429, 'pin_quota_exceeded'],
    ['memory', 409, 'pin_does_not_fit'],
  ] as const)('refuses what exceeds its %s, without retry-after', async (type, status, code) => {
    const { post, retentions } = await testServer();
    retentions.refusal = { type, why: 'too much; release a pin' };
    const response = await post('/v1/cache/pin', { prompt: text });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code, message: 'too much; release a pin' } });
    expect(response.headers.get('retry-after')).toBeNull();
  });
});

describe('publications', () => {
  it('are ended only by those who may publish, though all pins belong to the tenant', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'shoal-keys-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const keysFile = join(folder, 'keys.yaml');
    const [operator, user] = ['the-key-of-the-operator', 'the-key-of-a-user'];
    writeFileSync(
      keysFile,
      `keys:\n  - { id: olaf, secret: ${operator}, tenant: ops, role: operator }\n  - { id: ann, secret: ${user}, tenant: ops }\n`,
    );
    const { post, url } = await testServer({ keysFile });
    const as = (key: string) => ({ authorization: `Bearer ${key}` });
    const pin = async (body: object) =>
      ((await (await post('/v1/cache/pin', { prompt: text, ...body }, as(operator))).json()) as { id: string }).id;
    const end = async (id: string, key: string) =>
      (await fetch(`${url}/v1/cache/pin/${id}`, { method: 'DELETE', headers: as(key) })).status;
    const [published, plain] = [await pin({ share: 'public' }), await pin({})];
    expect([await end(published, user), await end(plain, user), await end(published, operator)]).toEqual([
      403, 200, 200,
    ]);
  });

  it('have no salt of the caller', async () => {
    const { post, retentions } = await testServer();
    const refused = await post('/v1/cache/pin', { prompt: text, share: 'public', cache_salt: 'x' });
    expect([refused.status, await refused.json()]).toMatchObject([400, { error: { param: 'cache_salt' } }]);
    expect(retentions.orders).toEqual([]);
  });
});

describe('pins', () => {
  it('are listed for, and released by, their own key only', async () => {
    const { post, url } = await testServer({ apiKeys: ['key-of-one-tenant', 'key-of-another-one'] });
    const [mine, theirs] = ['key-of-one-tenant', 'key-of-another-one'].map((key) => ({
      authorization: `Bearer ${key}`,
    }));
    const { id, owner } = (await (await post('/v1/cache/pin', { prompt: text }, mine)).json()) as Record<
      string,
      string
    >;
    expect(owner).toMatch(/^[0-9a-f]{12}$/);
    const list = async (headers: Record<string, string>) =>
      ((await (await fetch(`${url}/v1/cache/pins`, { headers })).json()) as { data: object[] }).data;
    expect(await list(mine!)).toMatchObject([{ id, owner, state: 'pending' }]);
    expect(await list(theirs!)).toEqual([]);
    const release = (headers: Record<string, string>) =>
      fetch(`${url}/v1/cache/pin/${id}`, { method: 'DELETE', headers });
    expect((await release(theirs!)).status).toBe(404);
    expect(await (await release(mine!)).json()).toEqual({ id, object: 'cache.pin', deleted: true });
    const again = await release(mine!);
    expect([again.status, await again.json()]).toMatchObject([404, { error: { param: 'id', code: 'pin_not_found' } }]);
    for (const path of ['/v1/cache/pins', `/v1/cache/pin/${id}`]) {
      expect((await fetch(url + path, { method: path.endsWith('pins') ? 'GET' : 'DELETE' })).status).toBe(401);
    }
  });
});
