import { afterEach, describe, expect, it } from 'vitest';
import { recallPrompt, recallSheet } from '../support/recall-sheet.js';
import { chunksOf } from './support/chunks.js';
import { Fleet } from './support/fleet.js';

/** A prompt that crashes its worker. The test kills whichever worker runs the prompt, which looks the same from outside. */

const LONG = { max_tokens: 900, ignore_eos: true, temperature: 0.8, seed: 3 };

function promptOf(seed: number): string {
  const sheet = recallSheet(16, seed);
  return recallPrompt(sheet, sheet.questions[0]!.question);
}

describe('a prompt that crashes its worker', () => {
  let fleet: Fleet;

  afterEach(async () => {
    await fleet?.stop();
  });

  it('kills two workers, is then refused, and costs those beside it nothing', async () => {
    fleet = await Fleet.up(['--workers', '4', '--replicas', '2']);
    const poison = { model: 'recall', prompt: promptOf(99), ...LONG };

    const leaving = new AbortController();
    const first = await fetch(`${fleet.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...poison, stream: true }),
      signal: leaving.signal,
    });
    let text = '';
    for await (const chunk of chunksOf(first)) {
      text += chunk.choices[0]?.text ?? '';
      if (text.length > 400) break;
    }
    const crash = (await fleet.workers()).find(({ running }) => running > 0)!;
    process.kill(crash.pid, 'SIGKILL');
    leaving.abort();
    await fleet.until((all) => all.every(({ state, pid }) => state === 'serving' && pid !== crash.pid));

    const beside = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => fleet.complete({ prompt: promptOf(seed), ...LONG }));
    const loaded = await fleet.until((all) => all.reduce((sum, { running }) => sum + running, 0) === beside.length);
    const busy = new Map(loaded.map(({ id, running }) => [id, running]));
    const second = fleet.post('/v1/completions', poison);
    const more = await fleet.until((all) => all.some(({ id, running }) => running > busy.get(id)!));
    process.kill(more.find(({ id, running }) => running > busy.get(id)!)!.pid, 'SIGKILL');

    const refusal = await second;
    expect(refusal.status).toBe(422);
    expect(refusal.headers.get('retry-after')).toBeNull();
    expect(await refusal.json()).toMatchObject({
      error: { type: 'invalid_request_error', code: 'poisonous_prompt', message: expect.stringContaining('crashed') },
    });
    for (const { usage } of await Promise.all(beside)) expect(usage.completion_tokens).toBe(LONG.max_tokens);

    const before = await fleet.until((all) => all.length === 4 && all.every(({ state }) => state === 'serving'));
    for (let i = 0; i < 20; i++) expect((await fleet.post('/v1/completions', poison)).status).toBe(422);
    const pids = (rows: typeof before) => rows.map(({ pid }) => pid);
    expect(pids(await fleet.workers())).toEqual(pids(before));
    const metrics = await (await fetch(`${fleet.url}/metrics`)).text();
    expect(/^shoal_prompts_quarantined_total (\d+)$/m.exec(metrics)?.[1]).toBe('1');
    expect(fleet.log).toContain('a prompt crashed workers and is quarantined');
  });
});
