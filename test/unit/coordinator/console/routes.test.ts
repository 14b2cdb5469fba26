import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CONSOLE_POLICY, readConsoleFiles } from '../../../../coordinator/console/console-files.js';
import type { FeedMessage } from '../../../../src/console/feed-messages.js';
import { saying } from '../support/scripted-fleet.js';
import { testServer } from '../support/test-server.js';

const key = (name: string) => `${name}-key-of-enough-characters`;
const bearer = (name: string) => ({ authorization: `Bearer ${key(name)}` });

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'shoal-console-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

function keysFile(): string {
  const path = join(folder(), 'keys.yaml');
  const entry = (id: string, role: string) => `  - { id: ${id}, secret: ${key(id)}, tenant: t-${id}, role: ${role} }\n`;
  writeFileSync(path, `keys:\n${entry('ann', 'user')}${entry('bob', 'user')}${entry('olaf', 'operator')}`);
  return path;
}

/** Reads messages of the feed until one satisfies `last`. */
async function feed(
  url: string,
  headers: Record<string, string>,
  last: (message: FeedMessage) => boolean,
): Promise<FeedMessage[]> {
  const closed = new AbortController();
  const answer = await fetch(`${url}/v1/fleet/events`, { headers, signal: closed.signal });
  expect(answer.headers.get('content-type')).toContain('text/event-stream');
  const messages: FeedMessage[] = [];
  let rest = '';
  for await (const piece of answer.body!.pipeThrough(new TextDecoderStream())) {
    const events = (rest + piece).split('\n\n');
    rest = events.pop()!;
    messages.push(...events.map((event) => JSON.parse(event.slice('data: '.length)) as FeedMessage));
    if (messages.some(last)) break;
  }
  closed.abort();
  return messages;
}

describe('the routes of the console', () => {
  it('need a key for the feed, and tell whose page it is', async () => {
    const { url } = await testServer({ keysFile: keysFile() });
    expect((await fetch(`${url}/v1/fleet/events`)).status).toBe(401);
    for (const [name, role] of [
      ['ann', 'user'],
      ['olaf', 'operator'],
    ] as const) {
      const messages = await feed(url, bearer(name), ({ type }) => type === 'fleet');
      expect(messages.slice(0, 2)).toMatchObject([
        { type: 'hello', role, version: '1.2.3', model: 'recall' },
        { type: 'fleet', whole: true, workers: [{ id: 'w1', state: 'serving' }] },
      ]);
      expect(JSON.stringify(messages)).not.toMatch(/unix:|tcp:|pid|10\.0\.0\.1/);
    }
  });

  it('show a request to its tenant and to operators, and to nobody else', async () => {
    const { url, post, fleet } = await testServer({ keysFile: keysFile() });
    fleet.script = () => saying([5]);
    const ended = (message: FeedMessage) => message.type === 'steps';
    const seen = ['ann', 'olaf'].map((name) => feed(url, bearer(name), ended));
    const hidden = feed(url, bearer('bob'), (message) => message.type === 'beat');
    await feed(url, bearer('olaf'), ({ type }) => type === 'fleet');
    expect((await post('/v1/completions', { prompt: 'x' }, bearer('ann'))).status).toBe(200);
    for (const messages of await Promise.all(seen)) {
      const steps = messages.flatMap((message) => (message.type === 'steps' ? message.steps : []));
      expect(steps.map(({ step }) => step)).toEqual(['arrived', 'first', 'ended']);
    }
    expect((await hidden).some(ended)).toBe(false);
  });

  it('give the history to those who may read the metrics', async () => {
    const { url } = await testServer({ keysFile: keysFile() });
    expect((await fetch(`${url}/v1/fleet/history`, { headers: bearer('ann') })).status).toBe(403);
    const answer = await fetch(`${url}/v1/fleet/history?since=0`, { headers: bearer('olaf') });
    expect(await answer.json()).toMatchObject({ step_ms: 2_000, at: [], series: { requests: [] }, happened: [] });
    expect((await fetch(`${url}/v1/fleet/history?since=x`, { headers: bearer('olaf') })).status).toBe(400);
  });

  it('end the feed at once when the coordinator stops', async () => {
    const server = await testServer({ closeGraceMs: 60_000 });
    const answer = await fetch(`${server.url}/v1/fleet/events`);
    const text = answer.text();
    await server.close();
    expect(await text).toContain('data: [DONE]');
  });

  it('serve nothing but files of the console', async () => {
    const { url } = await testServer();
    for (const path of ['/assets/nothing.js', '/assets/..%2fpackage.json', '/assets/%2e%2e/index.html']) {
      expect([path, (await fetch(url + path)).status]).toEqual([path, 404]);
    }
  });
});

describe('the files of the console', () => {
  it('are those in its folder, with their types', () => {
    const path = folder();
    writeFileSync(join(path, 'index.html'), '<p>');
    writeFileSync(join(path, 'notes.txt'), 'no');
    expect([...readConsoleFiles(path)]).toEqual([
      ['index.html', { contentType: 'text/html; charset=utf-8', text: '<p>' }],
    ]);
    expect(readConsoleFiles(join(path, 'none')).size).toBe(0);
  });

  it('may run no code and load nothing from elsewhere', () => {
    expect(CONSOLE_POLICY).toMatch(/^default-src 'none';/);
    expect(CONSOLE_POLICY).not.toMatch(/unsafe|https?:|\*/);
  });
});

describe('the routes behind the tables', () => {
  it('give the slow requests to their tenant and to operators', async () => {
    const { url, post, fleet } = await testServer({ keysFile: keysFile() });
    fleet.script = () => saying([5]);
    expect((await post('/v1/completions', { prompt: 'x' }, bearer('ann'))).status).toBe(200);
    const slow = async (name: string) => {
      const answer = await fetch(`${url}/v1/fleet/slow`, { headers: bearer(name) });
      const { requests } = (await answer.json()) as { requests: { step: string }[][] };
      return requests.map((steps) => steps.map(({ step }) => step));
    };
    expect([await slow('ann'), await slow('bob'), await slow('olaf')]).toEqual([
      [['arrived', 'first', 'ended']],
      [],
      [['arrived', 'first', 'ended']],
    ]);
  });

  it('give tenants and actors to operators alone', async () => {
    const { url, post, fleet } = await testServer({ keysFile: keysFile() });
    fleet.script = () => saying([5, 6]);
    await post('/v1/completions', { prompt: 'x' }, bearer('ann'));
    const get = async (path: string, name: string) => {
      const answer = await fetch(url + path, { headers: bearer(name) });
      return [answer.status, await answer.json()] as const;
    };
    expect((await get('/v1/fleet/tenants', 'ann'))[0]).toBe(403);
    expect((await get('/v1/fleet/actors', 'ann'))[0]).toBe(403);
    expect(await get('/v1/fleet/tenants', 'olaf')).toMatchObject([
      200,
      { tenants: [{ tenant: 't-ann', requests: 1, running: 0, failed: 0, generated: 2 }] },
    ]);
    expect(await get('/v1/fleet/actors', 'olaf')).toMatchObject([200, { nodes: [], actors: [], silent: [] }]);
  });
});
