import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openAccess } from '../../../../coordinator/access/open-access.js';
import { WATCH_INTERVAL_MS } from '../../../../coordinator/access/watched-file.js';
import { RECHECK_MS } from '../../../../coordinator/http/running-requests.js';
import { SimulatedClock } from '../../../../src/clock.js';
import type { Salt } from '../../../../src/core/salt.js';
import { SILENT_LOG } from '../../../../src/log.js';
import { operatorKey } from '../../../../src/operator-key.js';
import { saying, sayingForever } from '../support/scripted-fleet.js';
import { TEST_SECRET, testServer } from '../support/test-server.js';

type Fleet = { workers: { pid: unknown }[] };

const key = (name: string) => `${name}-key-of-enough-characters`;
const bearer = (name: string) => ({ authorization: `Bearer ${key(name)}` });

function keysFile(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-keys-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'keys.yaml');
  writeFileSync(path, text);
  return path;
}

const entry = (id: string, fields = '') => `  - { id: ${id}, secret: ${key(id)}, tenant: t-${id}${fields} }\n`;
const THREE = `keys:\n${entry('ann')}${entry('olaf', ', role: operator')}${entry('graf', ', role: metrics')}`;

describe('the role', () => {
  it('user may not drain, reset or scrape, and does not see processes and addresses', async () => {
    const { url, post } = await testServer({ keysFile: keysFile(THREE) });
    for (const path of ['/v1/fleet/workers/w1/drain', '/reset_prefix_cache']) {
      const response = await post(path, {}, bearer('ann'));
      expect([path, response.status]).toEqual([path, 403]);
      expect(await response.json()).toMatchObject({ error: { type: 'permission_error', code: 'role_not_allowed' } });
    }
    expect((await fetch(`${url}/metrics`, { headers: bearer('ann') })).status).toBe(403);
    const shown = (await (await fetch(`${url}/v1/fleet`, { headers: bearer('ann') })).json()) as Fleet;
    expect(shown.workers[0]).toMatchObject({ id: 'w1', state: 'serving', pid: null, host: null, address: null });
    expect(JSON.stringify(shown)).not.toMatch(/unix:|tcp:/);
    // It has 3 blocks and runs a request.
    expect(shown.workers[0]).toMatchObject({ blocks: 0, running: 0, hit_rate: 0.5 });
  });

  it('operator may do all of it', async () => {
    const { url, post } = await testServer({ keysFile: keysFile(THREE) });
    expect((await post('/v1/fleet/workers/w1/drain', {}, bearer('olaf'))).status).toBe(200);
    expect((await post('/reset_prefix_cache', {}, bearer('olaf'))).status).toBe(200);
    expect((await fetch(`${url}/metrics`, { headers: bearer('olaf') })).status).toBe(200);
    const shown = (await (await fetch(`${url}/v1/fleet`, { headers: bearer('olaf') })).json()) as Fleet;
    expect(shown.workers[0]?.pid).toBeTypeOf('number');
  });

  it('metrics reads the metrics and nothing else', async () => {
    const { url, post } = await testServer({ keysFile: keysFile(THREE) });
    expect((await fetch(`${url}/metrics`, { headers: bearer('graf') })).status).toBe(200);
    expect((await fetch(`${url}/metrics`)).status).toBe(401);
    for (const path of ['/v1/fleet', '/v1/models', '/v1/cache/pins']) {
      expect([path, (await fetch(url + path, { headers: bearer('graf') })).status]).toEqual([path, 403]);
    }
    expect((await post('/v1/completions', { prompt: 'x' }, bearer('graf'))).status).toBe(403);
  });

  it.each(['/metrics', '/v1/fleet/history'])('metrics is needed for %s wherever a key is', async (path) => {
    const status = async ({ url }: { url: string }, headers = {}) => (await fetch(url + path, { headers })).status;
    const metricsKeys = [key('graf')];
    const single = await testServer({ apiKeys: [key('only')], metricsKeys });
    expect(await status(single)).toBe(401);
    for (const id of ['only', 'graf']) expect(await status(single, bearer(id))).toBe(200);
    expect((await single.post('/tokenize', { prompt: 'x' }, bearer('graf'))).status).toBe(403);
    const several = await testServer({ apiKeys: [key('one'), key('two')], metricsKeys });
    const statuses = [
      await status(several),
      await status(several, bearer('one')),
      await status(several, bearer('graf')),
    ];
    expect(statuses).toEqual([401, 403, 200]);
    expect(await status(await testServer({ metricsKeys }))).toBe(200);
  });

  it('operator also belongs to the key that the cluster secret gives', async () => {
    const { post } = await testServer({ keysFile: keysFile('keys: []') });
    const headers = { authorization: `Bearer ${operatorKey(TEST_SECRET)}` };
    expect((await post('/reset_prefix_cache', {}, headers)).status).toBe(200);
    expect((await post('/reset_prefix_cache', {})).status).toBe(401);
  });

  it('of a single key without a role is operator, and of several it is user', async () => {
    const single = await testServer({ apiKeys: [key('only')] });
    expect((await single.post('/reset_prefix_cache', {}, bearer('only'))).status).toBe(200);
    const several = await testServer({ apiKeys: [key('one'), key('two')] });
    expect((await several.post('/reset_prefix_cache', {}, bearer('two'))).status).toBe(403);
  });
});

describe('a key', () => {
  it('may use its models only', async () => {
    const text = `keys:\n${entry('ann', ', models: [other]')}${entry('bob', ', models: [recall]')}`;
    const { url, post, fleet } = await testServer({ keysFile: keysFile(text) });
    fleet.script = () => saying([]);
    for (const path of ['/v1/completions', '/tokenize', '/v1/cache/explain', '/v1/cache/pin']) {
      const response = await post(path, { prompt: 'x' }, bearer('ann'));
      expect([path, response.status]).toEqual([path, 403]);
      expect(await response.json()).toMatchObject({ error: { param: 'model', code: 'model_not_allowed' } });
    }
    const names = async (who: string) => {
      const answer = await (await fetch(`${url}/v1/models`, { headers: bearer(who) })).json();
      return (answer as { data: unknown[] }).data;
    };
    expect(await names('ann')).toEqual([]);
    expect(await names('bob')).toHaveLength(2);
    expect((await post('/v1/completions', { prompt: 'x', model: 'shoal/recall' }, bearer('bob'))).status).toBe(200);
  });

  it('shares prefixes within its salt scope, and with nobody beyond it, whatever salt it sends', async () => {
    const same = (id: string, scope: string, tenant = 'acme') =>
      `  - { id: ${id}, secret: ${key(id)}, tenant: ${tenant}, salt_scope: ${scope} }\n`;
    const text = `keys:\n${same('a1', 'tenant')}${same('a2', 'tenant')}${same('a3', 'key')}${same('b1', 'tenant', 'b')}${same('p1', 'public')}${same('p2', 'public', 'b')}`;
    const { post, fleet } = await testServer({ keysFile: keysFile(text) });
    fleet.script = () => saying([]);
    const saltOf = async (who: string, cache_salt?: string) => {
      expect((await post('/v1/completions', { prompt: 'x', cache_salt }, bearer(who))).status).toBe(200);
      return fleet.asked.at(-1)!.request.salt!;
    };
    const salts: Salt[] = [];
    for (const who of ['a1', 'a2', 'a3', 'b1', 'p1', 'p2']) salts.push(await saltOf(who));
    const [a1, a2, a3, b1, p1, p2] = salts;
    expect(a1).toBe(a2);
    expect(p1).toBe(p2);
    expect(new Set([a1, a3, b1, p1]).size).toBe(4);
    for (const forged of ['tenant/acme:', ':', 'public/:', a1!]) {
      expect([a1, a3, p1]).not.toContain(await saltOf('b1', String(forged)));
      expect([a1, a3, b1]).not.toContain(await saltOf('p1', String(forged)));
    }
  });
});

describe('the salt scope public', () => {
  it('shares no stored responses: another tenant neither reads nor deletes them', async () => {
    const same = (id: string, tenant: string) =>
      `  - { id: ${id}, secret: ${key(id)}, tenant: ${tenant}, salt_scope: public }\n`;
    const text = `keys:\n${same('p1', 'acme')}${same('p2', 'beta')}${same('p3', 'acme')}`;
    const { url, post, fleet } = await testServer({ keysFile: keysFile(text) });
    fleet.script = () => saying([]);
    const made = await post('/v1/responses', { input: 'of acme alone' }, bearer('p1'));
    const { id } = (await made.json()) as { id: string };
    const call = async (who: string, method: string, path = '') =>
      (await fetch(`${url}/v1/responses/${id}${path}`, { method, headers: bearer(who) })).status;
    expect(await call('p2', 'GET')).toBe(404);
    expect(await call('p2', 'GET', '/input_items')).toBe(404);
    expect(await call('p2', 'DELETE')).toBe(404);
    expect(await call('p3', 'GET')).toBe(200);
    expect(await call('p1', 'DELETE')).toBe(200);
  });
});

describe('a keys file', () => {
  it('ends what runs for a key that was taken back or got another role, and nothing of other keys', async () => {
    const clock = new SimulatedClock();
    const path = keysFile(
      `keys:\n${entry('ann')}${entry('olaf', ', role: operator')}${entry('op', ', role: operator')}`,
    );
    const { url, post, fleet, logged } = await testServer({ keysFile: path }, clock);
    fleet.script = (_, signal) => sayingForever([5, 6], signal);
    const feed = async (who: string) => await fetch(`${url}/v1/fleet/events`, { headers: bearer(who) });
    const stream = await post('/v1/completions', { prompt: 'x', stream: true }, bearer('ann'));
    const whole = post('/v1/completions', { prompt: 'x' }, bearer('ann'));
    const [removed, demoted, kept] = [await feed('ann'), await feed('olaf'), await feed('op')];
    while (fleet.asked.length < 2) await clock.advance(1);
    writeFileSync(path, `keys:\n${entry('olaf')}${entry('op', ', role: operator')}`);
    while (!logged.some((line) => line.includes('read the changed keys file'))) await clock.advance(WATCH_INTERVAL_MS);
    await clock.advance(RECHECK_MS);
    expect(await removed.text()).toContain('"code":"invalid_api_key"');
    expect(await demoted.text()).toContain('"code":"key_changed"');
    expect(await stream.text()).toContain('"code":"invalid_api_key"');
    expect((await whole).status).toBe(401);
    // That of the other operator goes on until it is cancelled.
    await clock.advance(RECHECK_MS);
    const reader = kept.body!.getReader();
    expect((await reader.read()).done).toBe(false);
    await reader.cancel();
  });

  it('is read again when it changes, and a bad one leaves the keys as they were', async () => {
    const clock = new SimulatedClock();
    const path = keysFile(`keys:\n${entry('ann')}`);
    const { url, logged } = await testServer({ keysFile: path }, clock);
    const statusOf = async (who: string) => (await fetch(`${url}/v1/models`, { headers: bearer(who) })).status;
    const untilLogged = async (text: string) => {
      while (!logged.some((line) => line.includes(text))) await clock.advance(WATCH_INTERVAL_MS);
    };
    expect(await statusOf('bob')).toBe(401);
    writeFileSync(path, 'keys:\n  - id: bob\n    secret: short\n    tenant: t\n');
    await untilLogged('keys.yaml:3: keys[0].secret');
    expect([await statusOf('ann'), await statusOf('bob')]).toEqual([200, 401]);
    writeFileSync(`${path}.new`, `keys:\n${entry('bob')}`);
    renameSync(`${path}.new`, path);
    await untilLogged('read the changed keys file');
    expect([await statusOf('ann'), await statusOf('bob')]).toEqual([401, 200]);
    rmSync(path);
    await untilLogged('ENOENT');
    expect(await statusOf('bob')).toBe(200);
    expect(logged.join()).not.toMatch(/of-enough-characters/);
  });

  it('that is wrong is named whenever it is to be read again, until it is right', async () => {
    const path = keysFile(`keys:\n${entry('ann')}`);
    const config = { apiKeys: [], metricsKeys: [], keysFile: path, jwt: null, secret: 'a secret of the fleet' };
    const { reload } = openAccess(config, { clock: new SimulatedClock(), log: SILENT_LOG, wallMs: () => 0 });
    expect(await reload()).toBeNull();
    writeFileSync(path, 'keys: 1\n');
    for (let time = 0; time < 2; time++) expect(await reload()).toContain('keys.yaml:1');
    rmSync(path);
    expect(await reload()).toContain('ENOENT');
    writeFileSync(path, `keys:\n${entry('bob')}`);
    expect(await reload()).toBeNull();
  });

  it('is read again after a pipe, a folder or a device has been in its place', async () => {
    const clock = new SimulatedClock();
    const path = keysFile(`keys:\n${entry('ann')}`);
    const { url, logged } = await testServer({ keysFile: path }, clock);
    const statusOf = async (who: string) => (await fetch(`${url}/v1/models`, { headers: bearer(who) })).status;
    const untilLogged = async (text: string, times = 1) => {
      while (logged.filter((line) => line.includes(text)).length < times) await clock.advance(WATCH_INTERVAL_MS);
    };
    rmSync(path);
    execFileSync('mkfifo', [path]);
    await untilLogged('is not a regular file');
    rmSync(path);
    await untilLogged('ENOENT');
    symlinkSync('/dev/zero', path);
    await untilLogged('is not a regular file', 2);
    rmSync(path);
    await untilLogged('ENOENT', 2);
    mkdirSync(path);
    await untilLogged('is not a regular file', 3);
    expect(await statusOf('ann')).toBe(200);
    rmdirSync(path);
    writeFileSync(path, `keys:\n${entry('bob')}`);
    await untilLogged('read the changed keys file');
    expect([await statusOf('ann'), await statusOf('bob')]).toEqual([401, 200]);
  });
});
