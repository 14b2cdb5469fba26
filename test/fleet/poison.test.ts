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

  /** Runs the prompt on one worker, and kills the worker as soon as it answers. */
  async function crash(id: string, poison: object): Promise<void> {
    const victim = (await fleet.workers()).find((worker) => worker.id === id)!;
    const response = await fleet.post('/v1/completions', { ...poison, stream: true }, { 'x-shoal-worker': id });
    const chunks = chunksOf(response);
    await chunks.next();
    process.kill(victim.pid, 'SIGKILL');
    // No other worker may run the request, so its stream ends in an error.
    while ((await chunks.next().catch(() => null))?.done === false);
    await fleet.until((all) => all.every(({ state, pid }) => state === 'serving' && pid !== victim.pid));
  }

  it('kills two workers, is then refused, and costs those beside it nothing', async () => {
    fleet = await Fleet.up(['--workers', '4', '--replicas', '2']);
    const poison = { model: 'recall', prompt: promptOf(99), ...LONG };
    const [one, two] = fleet.ready.workers;
    await crash(one!.id, poison);
    const beside = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => fleet.complete({ prompt: promptOf(seed), ...LONG }));
    await fleet.until((all) => all.reduce((sum, { running }) => sum + running, 0) === beside.length);
    await crash(two!.id, poison);

    const refusal = await fleet.post('/v1/completions', poison);
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
