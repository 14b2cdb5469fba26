import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { selects } from '../../../../src/core/purge-selector.js';
import { ownerDigest, saltDigest } from '../../../../src/core/salt.js';
import { keysUnder, testServer } from '../support/test-server.js';

const bearer = (id: string) => ({ authorization: `Bearer the-secret-of-${id}` });
const TOKENS = Uint32Array.from({ length: 200 }, (_, i) => i % 7);

async function server() {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-keys-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const keysFile = join(folder, 'keys.yaml');
  const entry = (id: string, tenant: string, fields = '') =>
    `  - { id: ${id}, secret: the-secret-of-${id}, tenant: ${tenant}${fields} }\n`;
  const users =
    entry('ann', 'acme') +
    entry('kim', 'acme', ', salt_scope: key') +
    entry('bob', 'beta') +
    entry('lea', 'beta', ', shares: [public]');
  const others =
    entry('pia', 'beta', ', salt_scope: public') +
    entry('olaf', 'operations', ', role: operator') +
    entry('odo', 'operations', ', role: operator, salt_scope: public');
  writeFileSync(keysFile, `keys:\n${users}${others}`);
  const { post, fleet, purges, url, layers } = await testServer({ keysFile });
  /** The keys of the prompt's blocks, as the fleet is asked for them. */
  const keysFor = async (who: string, cache_salt?: string) => {
    await post('/v1/completions', { prompt: [...TOKENS], max_tokens: 1, cache_salt }, bearer(who));
    return keysUnder(TOKENS, fleet.asked.at(-1)!.request.salt);
  };
  const purge = async (who: string, body: object) => {
    const response = await post('/v1/cache/purge', body, bearer(who));
    return { status: response.status, body: await response.json() };
  };
  const chosen = async (who: string, body: object) => {
    expect((await purge(who, body)).status).toBe(202);
    return purges.ordered.at(-1)!.selector;
  };
  return { url, purge, chosen, keysFor, layers };
}

it('a purge by tenant chooses the blocks of all its salts, and of no other', async () => {
  const { chosen, keysFor } = await server();
  const selector = await chosen('ann', { tenant: 'acme' });
  const all = (keys: string[]) => keys.map((key) => selects(selector, key));
  for (const [who, salt] of [['ann'], ['ann', 'x'], ['kim'], ['kim', 'a:b']] as const) {
    expect(all(await keysFor(who, salt))).toEqual([true, true, true]);
  }
  for (const [who, salt] of [['bob'], ['bob', 'tenant/acme:all:'], ['pia'], ['olaf']] as const) {
    expect(all(await keysFor(who, salt))).toEqual([false, false, false]);
  }
});

it('a purge by tenant or salt chooses values, stored answers and answers for retries too, one by prompt only the last', async () => {
  const { chosen } = await server();
  const acme = { by: 'owner', digest: ownerDigest('tenant/acme') };
  expect(await chosen('ann', { tenant: 'acme' })).toMatchObject({ objects: acme, answers: acme });
  const salt = { by: 'salt', digest: saltDigest('tenant/acme:all:x') };
  expect(await chosen('ann', { cache_salt: 'x' })).toMatchObject({ objects: salt, answers: salt });
  const byPrompt = await chosen('ann', { tokens: [...TOKENS], cache_salt: 'x' });
  expect([byPrompt.objects, byPrompt.answers]).toEqual([undefined, salt]);
  expect(await chosen('olaf', { share: 'public' })).toMatchObject({ objects: null, answers: null });
  // Of a key whose blocks belong to all: what else is kept for it is its tenant's.
  const own = { by: 'salt', digest: saltDigest('tenant/operations:all:x') };
  expect(await chosen('odo', { cache_salt: 'x' })).toMatchObject({ objects: own, answers: own });
});

it('a purge by salt or prompt chooses blocks of the caller in that salt alone', async () => {
  const { chosen, keysFor } = await server();
  const bySalt = await chosen('ann', { cache_salt: 'x' });
  const byPrompt = await chosen('ann', { tokens: [...TOKENS], cache_salt: 'x' });
  for (const selector of [bySalt, byPrompt]) {
    expect((await keysFor('ann', 'x')).every((key) => selects(selector, key))).toBe(true);
    for (const [who, salt] of [['ann'], ['ann', 'y'], ['kim', 'x'], ['bob', 'x']] as const) {
      expect((await keysFor(who, salt)).some((key) => selects(selector, key))).toBe(false);
    }
  }
});

it('a purge by prompt chooses the blocks from before a prefix of it was published', async () => {
  const { chosen, keysFor, layers } = await server();
  const before = await keysFor('lea');
  const tokens = TOKENS.slice(0, 128);
  const salt = layers.saltOfPublished(tokens, 'public', 'tokens');
  const blocks = {
    slot: 0,
    owner: null,
    segments: new Uint8Array(32),
    last: keysUnder(tokens, salt).at(-1)!,
    reason: null,
  };
  const times = { createdMs: 0, expiresMs: 1, stage: 'settled' as const };
  layers.learn([{ id: 'pin', layer: 'public', tokens: 128, blocks: 2, ...blocks, ...times }], () => {
    return { tokens, salt, tenant: null };
  });
  const after = await keysFor('lea');
  expect(after).not.toEqual(before);
  const selector = await chosen('lea', { tokens: [...TOKENS] });
  expect(before.map((key) => selects(selector, key))).toEqual([true, true, true]);
  // The first two are those of the layer.
  expect(after.map((key) => selects(selector, key))).toEqual([false, false, true]);
});

it('only operators purge what belongs to others', async () => {
  const { purge } = await server();
  const refused = { status: 403, body: { error: { code: 'purge_not_allowed' } } };
  expect(await purge('ann', { tenant: 'beta' })).toMatchObject(refused);
  expect(await purge('ann', { share: 'public' })).toMatchObject(refused);
  expect(await purge('pia', { cache_salt: 'x' })).toMatchObject(refused);
  expect(await purge('pia', { prompt: 'x' })).toMatchObject(refused);
  expect(await purge('olaf', { tenant: 'beta' })).toMatchObject({ status: 202 });
  expect(await purge('olaf', { share: 'public' })).toMatchObject({ status: 202 });
  for (const wrong of [{}, { tenant: 'acme', cache_salt: 'x' }, { tenant: 'acme', prompt: 'x' }, { tenant: 7 }]) {
    expect((await purge('ann', wrong)).status).toBe(400);
  }
});

it('the receipt is for who ordered it, and for operators', async () => {
  const { url, purge } = await server();
  const { body } = await purge('ann', { tenant: 'acme' });
  expect(body).toMatchObject({
    object: 'cache.purge',
    what: 'tenant',
    state: 'incomplete',
    answers: 6,
    exact: true,
    dropped: { device: 3, host: 0, disk: 2, blocks: 2, replicas: 1, values: 5, responses: 4 },
    workers: [
      { id: 'w1', state: 'done', device: 3, disk: 2 },
      { id: 'w2', state: 'unreachable', device: 0, disk: 0 },
    ],
  });
  const { id } = body as { id: string };
  const get = async (who: string, of = id) =>
    (await fetch(`${url}/v1/cache/purge/${of}`, { headers: bearer(who) })).status;
  expect(await Promise.all([get('ann'), get('kim'), get('olaf'), get('bob')])).toEqual([200, 200, 200, 404]);
  expect(await get('ann', 'purge-x')).toBe(404);
});
