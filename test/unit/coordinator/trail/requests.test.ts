import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { DividedTrail } from '../../../../coordinator/trail/divided-trail.js';
import { NO_TRAIL } from '../../../../coordinator/trail/trail.js';
import { type RequestEntry, readEntry, type TrailEvent } from '../../../../src/trail/entry.js';
import { saying, sayingForever } from '../support/scripted-fleet.js';
import { testServer } from '../support/test-server.js';

const SECRET_TEXT = 'Mara hid the amber key in the harbor';
const bearer = (id: string) => ({ authorization: `Bearer the-secret-of-${id}` });

async function server() {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-keys-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const keysFile = join(folder, 'keys.yaml');
  const entry = (id: string, fields = '') => `  - { id: ${id}, secret: the-secret-of-${id}, tenant: acme${fields} }\n`;
  const limited = entry('lim', ', limits: { requests_per_minute: 1, burst: 1 }');
  writeFileSync(keysFile, `keys:\n${entry('ann')}${entry('olaf', ', role: operator')}${limited}`);
  return testServer({ keysFile });
}

it('the audit log says who asked for what, with which tokens and hits', async () => {
  const { post, fleet, trail } = await server();
  fleet.script = () => saying([1, 2, 3], { cached: { local: 64, remote: 0, computed: 8 } });
  const prompt = SECRET_TEXT;
  await (await post('/v1/completions', { prompt }, { ...bearer('ann'), 'x-request-id': 'my-request' })).text();
  await (await post('/v1/completions', { prompt, stream: true }, bearer('ann'))).text();
  await post('/v1/fleet/workers/w1/drain', {}, bearer('olaf'));
  await post('/reset_prefix_cache', {}, bearer('olaf'));
  await post('/v1/cache/pin', { prompt: 'x'.repeat(400) }, bearer('ann'));
  const who = { tenant: 'acme', key: 'ann', role: 'user', address: '127.0.0.1' };
  const asked = { ...who, route: '/v1/completions', decision: 'allowed', status: 200, code: null };
  const tokens = { prompt: expect.any(Number), cached: 64, generated: 3 };
  expect(trail).toEqual([
    expect.objectContaining({ ...asked, tokens, request_id: 'my-request' }),
    expect.objectContaining({ ...asked, tokens }),
    expect.objectContaining({ key: 'olaf', role: 'operator', route: '/v1/fleet/workers/:id/drain', target: 'w1' }),
    expect.objectContaining({ key: 'olaf', route: '/reset_prefix_cache', tokens: null }),
    expect.objectContaining({ ...who, route: '/v1/cache/pin', tokens: { prompt: 400, cached: 0, generated: 0 } }),
  ]);
});

it('the audit log says who was refused, and why', async () => {
  const { url, post, trail } = await server();
  await post('/v1/completions', { prompt: 'x' }, bearer('nobody'));
  await post('/v1/completions', { prompt: 'x' });
  await post('/v1/fleet/workers/w1/drain', {}, bearer('ann'));
  await post('/v1/completions', { prompt: 'x' }, bearer('lim'));
  await post('/v1/completions', { prompt: 'x' }, bearer('lim'));
  await post('/v1/completions', { prompt: 7 }, bearer('ann'));
  await post('/v1/completions', { prompt: 'x' }, { ...bearer('ann'), origin: 'https://elsewhere.example' });
  await fetch(`${url}/metrics`);
  const row = ({ key, status, decision, code }: Record<string, unknown>) => [key, status, decision, code];
  expect(trail.map((entry) => row(entry as never))).toEqual([
    [null, 401, 'refused', 'invalid_api_key'],
    [null, 401, 'refused', 'invalid_api_key'],
    ['ann', 403, 'refused', 'role_not_allowed'],
    ['lim', 200, 'allowed', null],
    ['lim', 429, 'refused', expect.any(String)],
    ['ann', 400, 'failed', null],
    [null, 403, 'refused', expect.any(String)],
    [null, 401, 'refused', 'invalid_api_key'],
  ]);
});

it('the audit log never has a prompt, a key, a path of a stranger, or what only reads', async () => {
  const { url, post, fleet, trail } = await server();
  fleet.script = () => saying([1]);
  await post('/v1/completions', { prompt: SECRET_TEXT, user: SECRET_TEXT, cache_salt: SECRET_TEXT }, bearer('ann'));
  await post('/v1/chat/completions', { messages: [{ role: 'user', content: SECRET_TEXT }] }, bearer('ann'));
  await post(`/v1/fleet/workers/${encodeURIComponent(SECRET_TEXT)}/drain?x=${SECRET_TEXT}`, {}, bearer('olaf'));
  await post(`/v1/${encodeURIComponent(SECRET_TEXT)}`, {}, bearer('ann'));
  await post('/v1/completions', { prompt: SECRET_TEXT }, { ...bearer(SECRET_TEXT), 'x-request-id': SECRET_TEXT });
  for (const path of ['/health', '/v1/models', '/v1/fleet']) await fetch(url + path, { headers: bearer('ann') });
  expect(trail).toHaveLength(4);
  expect(JSON.stringify(trail)).not.toMatch(/Mara|amber|the-secret-of/);
  const stamped = trail.map((event) => ({ time: '2026-01-01T00:00:00.000Z', coordinator: 'c1', ...event }));
  for (const entry of stamped) expect(readEntry(JSON.stringify(entry))).toEqual(entry);
});

it('the audit log has who cut the connection, with the address and the tokens so far', async () => {
  const { url, fleet, trail } = await server();
  fleet.script = (_, signal) => sayingForever([5], signal);
  for (const stream of [true, false]) {
    const leaving = new AbortController();
    const body = JSON.stringify({ prompt: 'x'.repeat(40), stream });
    const headers = { 'content-type': 'application/json', ...bearer('ann') };
    const asked = fetch(`${url}/v1/completions`, { method: 'POST', headers, body, signal: leaving.signal });
    asked.catch(() => {});
    if (stream) await (await asked).body!.getReader().read();
    else await expect.poll(() => fleet.asked.length).toBe(2);
    leaving.abort();
    await expect.poll(() => trail.length).toBe(stream ? 1 : 2);
  }
  for (const entry of trail) {
    expect(entry).toMatchObject({ key: 'ann', address: '127.0.0.1', decision: 'failed', status: 499 });
    expect((entry as { tokens: { prompt: number } }).tokens.prompt).toBeGreaterThan(0);
  }
});

it('the audit log keeps what only operators may do apart from what all ask for, also where no key is needed', async () => {
  const { url, post, trail } = await server();
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: Record<string, object> };
  for (const [path, methods] of Object.entries(paths))
    if ('post' in methods) await (await post(path.replaceAll(/{\w+}/g, 'w1'), {}, bearer('ann'))).text();
  const kept: TrailEvent[] = [];
  const divided = new DividedTrail({ use: NO_TRAIL, refused: NO_TRAIL, rest: { write: (event) => kept.push(event) } });
  const refused = trail.filter((event) => event.event === 'request' && event.code === 'role_not_allowed');
  const allowed = refused.map((event): TrailEvent => ({ ...(event as RequestEntry), role: null, decision: 'allowed' }));
  for (const event of allowed) divided.write(event);
  expect(kept.length).toBeGreaterThan(8);
  expect(kept).toEqual(allowed);
});
