import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FleetApi } from '../../bench/fleet/fleet-api.js';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { readEntry, refusedFile, requestsFile } from '../../src/trail/entry.js';
import { Fleet } from './support/fleet.js';

const SHEET = recallSheet(32, 5);
const [first, second] = SHEET.questions.map(({ question, answer }) => ({
  prompt: recallPrompt(SHEET, question),
  answer,
}));
/** What all prompts about the sheet have in common. */
const NOTES = first!.prompt.slice(0, first!.prompt.lastIndexOf('Q:'));

const secret = (id: string) => `the-secret-of-${id}`;
const entry = (id: string, tenant: string, fields = '') =>
  `  - { id: ${id}, secret: ${secret(id)}, tenant: ${tenant}${fields} }\n`;

const JSON_BODY = { 'content-type': 'application/json' };
/** Values of a tenant: so many that every worker is a home of some. */
const VALUES = 12;

interface Receipt {
  readonly id: string;
  readonly state: string;
  readonly pins: number;
  readonly answers: number;
  readonly dropped: {
    readonly device: number;
    readonly blocks: number;
    readonly replicas: number;
    readonly values: number;
    readonly responses: number;
  };
  readonly workers: readonly {
    readonly id: string;
    readonly state: string;
    readonly blocks: number;
    readonly values: number;
  }[];
}

describe('tenants of a fleet', () => {
  let fleet: Fleet;
  let folder: string;
  const api = (id: string) => new FleetApi(fleet.url, secret(id));
  const cached = async (id: string, prompt: string, cache_salt = '') =>
    (await api(id).complete({ prompt, cache_salt })).usage.prompt_tokens_details.cached_tokens;

  const kv = (id: string, key: number, method = 'GET') =>
    fetch(`${fleet.url}/v1/kv/k${key}`, {
      ...{ method, headers: { authorization: `Bearer ${secret(id)}` } },
      ...(method === 'PUT' && { body: `the value of ${id}` }),
    });

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'shoal-tenants-'));
    const keys = join(folder, 'keys.yaml');
    const users =
      entry('ann', 'acme', ', shares: [public]') + entry('bob', 'beta', ', shares: [public]') + entry('eve', 'eve');
    writeFileSync(keys, `keys:\n${users}${entry('olaf', 'operations', ', role: operator')}`);
    fleet = await Fleet.up(['--workers', '3', '--keys-file', keys, '--audit-log', join(folder, 'audit.log')]);
  });
  afterAll(async () => {
    await fleet?.stop();
    rmSync(folder, { recursive: true });
  });

  it('share what an operator published, and nothing else', async () => {
    const operator = api('olaf');
    const published = await operator.post('/v1/cache/pin', { prompt: NOTES, share: 'public' });
    expect(published.status).toBe(200);
    const { blocks } = (await published.json()) as { blocks: number };
    for (let held = false; !held; ) {
      const response = await fetch(`${fleet.url}/v1/cache/pins`, {
        headers: { authorization: `Bearer ${secret('olaf')}` },
      });
      held = ((await response.json()) as { data: { state: string }[] }).data[0]!.state === 'held';
    }
    // The coordinator learns of it with its next look, within a second.
    let found = 0;
    for (let i = 0; found === 0; i++) found = await cached('ann', first!.prompt, `its user ${i}`);
    expect(found).toBe(64 * blocks);
    const answer = await api('bob').complete({ prompt: first!.prompt });
    expect(answer.usage.prompt_tokens_details.cached_tokens).toBe(64 * blocks);
    expect(answer.choices[0]!.text.trim()).toBe(first!.answer);
    expect(await cached('eve', second!.prompt)).toBe(0);
    expect((await api('ann').post('/v1/cache/pin', { prompt: NOTES, share: 'public' })).status).toBe(403);
  });

  it('purge their blocks everywhere, also where a worker was away', async () => {
    const prompt = `${second!.prompt} ${'and so on '.repeat(60)}`;
    const eve = api('eve');
    await eve.complete({ prompt });
    const stored = (await (await eve.post('/v1/responses', { input: prompt, max_output_tokens: 4 })).json()) as {
      id: string;
    };
    for (let i = 0; i < VALUES; i++) for (const id of ['eve', 'bob']) expect((await kv(id, i, 'PUT')).status).toBe(201);
    const operator = api('olaf');
    // Replicas are pushed after the answer.
    while ((await eve.copies(prompt)).some((copies) => copies < 2)) await operator.workers();
    const held = [...(await eve.holders(prompt))];
    const away = (await operator.workers()).find(({ id }) => held.includes(id))!;
    process.kill(away.pid, 'SIGSTOP');
    await operator.until((workers) => workers.some(({ id, state }) => id === away.id && state === 'dead'));
    const named = { authorization: `Bearer ${secret('eve')}`, 'x-request-id': 'repeated', ...JSON_BODY };
    const asked = { method: 'POST', headers: named, body: JSON.stringify({ prompt: 'x', max_tokens: 1 }) };
    expect((await fetch(`${fleet.url}/v1/completions`, asked)).status).toBe(200);
    const response = await eve.post('/v1/cache/purge', { tenant: 'eve' });
    expect(response.status).toBe(202);
    const receipt = (await response.json()) as Receipt;
    expect(receipt.state).toBe('incomplete');
    expect(receipt.workers.find(({ id }) => id === away.id)).toMatchObject({ state: 'unreachable', blocks: 0 });
    expect(receipt.dropped.blocks).toBeGreaterThan(0);
    expect(receipt.answers).toBe(1);
    // Written while a worker is away that has older ones.
    expect((await kv('eve', VALUES, 'PUT')).status).toBe(201);
    process.kill(away.pid, 'SIGCONT');
    const read = async () => {
      const headers = { authorization: `Bearer ${secret('eve')}` };
      return (await (await fetch(`${fleet.url}/v1/cache/purge/${receipt.id}`, { headers })).json()) as Receipt;
    };
    let done = await read();
    while (done.state !== 'complete') done = await read();
    expect(done.workers.find(({ id }) => id === away.id)).toMatchObject({ state: 'done', blocks: expect.any(Number) });
    expect(done.workers.find(({ id }) => id === away.id)!.blocks).toBeGreaterThan(0);
    // Each value and the stored response had two copies, and got others for those of the worker that was away.
    expect(done.dropped.values).toBeGreaterThanOrEqual(2 * VALUES);
    expect(done.dropped.responses).toBeGreaterThanOrEqual(2);
    expect(done.workers.find(({ id }) => id === away.id)!.values).toBeGreaterThan(0);
    expect(await cached('eve', prompt)).toBe(0);
    const statuses = async (id: string) =>
      Promise.all(Array.from({ length: VALUES + 1 }, async (_, i) => (await kv(id, i)).status));
    expect(await statuses('eve')).toEqual([...Array(VALUES).fill(404), 200]);
    expect(await statuses('bob')).toEqual([...Array(VALUES).fill(200), 404]);
    const headers = { authorization: `Bearer ${secret('eve')}` };
    expect((await fetch(`${fleet.url}/v1/responses/${stored.id}`, { headers })).status).toBe(404);
    // What others have stays.
    expect(await cached('ann', first!.prompt)).toBeGreaterThan(0);
  });

  it('leave a trail of who did what, for its owner alone', async () => {
    const file = join(folder, 'audit.log');
    const files = [file, requestsFile(file), refusedFile(file)];
    for (const each of files) expect(statSync(each).mode & 0o777).toBe(0o600);
    let text = '';
    while (!text.includes('purge_complete')) text = files.map((each) => readFileSync(each, 'utf8')).join('');
    const entries = text
      .trim()
      .split('\n')
      .map((line) => readEntry(line)!);
    expect(entries).toContainEqual(
      expect.objectContaining({ event: 'request', key: 'ann', decision: 'refused', status: 403 }),
    );
    const asked = entries.find((each) => each.event === 'request' && each.key === 'bob');
    expect(asked).toMatchObject({ tenant: 'beta', decision: 'allowed', tokens: { cached: expect.any(Number) } });
    expect(text).not.toContain('the-secret-of');
    expect(text).not.toContain(SHEET.questions[0]!.question);
  });
});
