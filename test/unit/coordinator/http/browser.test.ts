import { describe, expect, it } from 'vitest';
import { CHROMIUM, runPage } from '../support/browser.js';
import { saying } from '../support/scripted-fleet.js';
import { idsOf, testServer } from '../support/test-server.js';

/** A page of another origin in a real Chromium. What a browser sends is tested by bytes, too, in pages.test.ts. */

const BROWSER_TIMEOUT_MS = 120_000;
const where = CHROMIUM === null ? ' (skipped: no Chromium in PATH; apt-get install chromium)' : '';

const ATTACK = (url: string) => `
  const url = ${JSON.stringify(url)};
  const send = (path, init) => fetch(url + path, init).then((r) => r.type + ' ' + r.status, () => 'refused');
  const seen = [];
  for (const mode of ['no-cors', 'cors']) {
    seen.push(await send('/v1/fleet/workers/w1/drain', { method: 'POST', mode }));
    seen.push(await send('/reset_prefix_cache', { method: 'POST', mode }));
    seen.push(await send('/v1/completions', { method: 'POST', mode, body: '{"prompt":"x"}' }));
  }
  const headers = { 'content-type': 'application/json' };
  seen.push(await send('/v1/completions', { method: 'POST', headers, body: '{"prompt":"x"}' }));
  seen.push(await send('/v1/fleet'));
  const rebound = url.replace('127.0.0.1', 'rebound.example');
  seen.push(await fetch(rebound + '/v1/fleet').then(() => 'read', () => 'refused'));
  await fetch(rebound + '/v1/fleet/workers/w1/drain', { method: 'POST', mode: 'no-cors' }).catch(() => {});
  await fetch('/', { method: 'POST', body: JSON.stringify(seen) });
`;

const CHAT = (url: string) => `
  const seen = {};
  const headers = { 'content-type': 'application/json', authorization: 'Bearer the-key-of-the-page' };
  const body = JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'x' }] });
  const answer = await fetch(${JSON.stringify(url)} + '/v1/chat/completions', { method: 'POST', headers, body });
  seen.status = answer.status;
  seen.id = answer.headers.get('x-request-id');
  seen.text = await answer.text();
  seen.drain = await fetch(${JSON.stringify(url)} + '/v1/fleet/workers/w1/drain', { method: 'POST', headers }).then(() => 'done', () => 'refused');
  await fetch('/', { method: 'POST', body: JSON.stringify(seen) });
`;

describe.skipIf(CHROMIUM === null)(`a page of another origin in Chromium${where}`, () => {
  it('can neither drain, reset, generate nor read', { timeout: BROWSER_TIMEOUT_MS }, async () => {
    const { url, fleet, logged } = await testServer();
    expect(await runPage(ATTACK(url), CHROMIUM!)).toEqual(Array(9).fill('refused'));
    // The browser did send them: with no-cors and cors, and under the name that was bound to this machine.
    const drains = logged.filter((line) => line.includes('"route":"/v1/fleet/workers/:id/drain","status":403'));
    expect(drains.length).toBe(3);
    expect([fleet.calls, fleet.asked]).toEqual([[], []]);
  });

  it('chats, as a stream, once its origin is allowed; and still cannot drain', {
    timeout: BROWSER_TIMEOUT_MS,
  }, async () => {
    const { url, fleet } = await testServer({ allowedOrigins: ['*'], apiKeys: ['the-key-of-the-page'] });
    fleet.script = () => saying(idsOf(' the harbor'));
    const seen = (await runPage(CHAT(url), CHROMIUM!)) as { status: number; id: string; text: string; drain: string };
    expect(seen).toMatchObject({ status: 200, id: expect.stringMatching(/^[0-9a-f-]{36}$/), drain: 'refused' });
    expect(seen.text).toContain('data: [DONE]');
    expect([fleet.calls, fleet.asked.length]).toEqual([[], 1]);
  });
});
