import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { brittleModel, CRASH_CHARACTER, CRASH_TOKEN } from '../../bench/chaos/brittle-model.js';
import { chunksOf } from '../../bench/fleet/chunks.js';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { modelFolder } from '../../src/config/model-folder.js';
import { Fleet } from './support/fleet.js';

const LONG = { max_tokens: 400, ignore_eos: true };

function promptOf(seed: number): string {
  const sheet = recallSheet(16, seed);
  return recallPrompt(sheet, sheet.questions[0]!.question);
}

// Other processors do not end a process that divides by zero.
describe.skipIf(process.arch !== 'x64')('a prompt that crashes its worker', () => {
  let dir: string;
  let fleet: Fleet;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    await brittleModel(modelFolder(null), join(dir, 'recall'), CRASH_TOKEN);
  });
  afterEach(async () => {
    await fleet?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  /** Starts to stream an answer. Resolves once it has begun. */
  async function started(prompt: string): Promise<{ rest: () => Promise<string> }> {
    const chunks = chunksOf(
      await fleet.post('/v1/completions', { model: 'recall', prompt, temperature: 0, ...LONG, stream: true }),
    );
    let text = (await chunks.next()).value.choices[0]?.text ?? '';
    const rest = async () => {
      for await (const { choices } of chunks) text += choices[0]?.text ?? '';
      return text;
    };
    return { rest };
  }

  it('crashes two workers, is then refused, and costs other requests nothing', async () => {
    fleet = await Fleet.up(['--workers', '4', '--replicas', '2', '--model', join(dir, 'recall')]);
    const poison = { model: 'recall', prompt: `${promptOf(99)}${CRASH_CHARACTER}`, max_tokens: 8 };
    const innocent = [1, 2, 3, 4, 5, 6, 7, 8];
    const undisturbed: string[] = [];
    for (const seed of innocent) {
      undisturbed.push((await fleet.complete({ prompt: promptOf(seed), ...LONG })).choices[0]!.text);
    }
    const before = await fleet.workers();

    const beside = await Promise.all(innocent.map((seed) => started(promptOf(seed))));
    const refusal = await fleet.post('/v1/completions', poison);
    expect(await refusal.json()).toMatchObject({
      error: { type: 'invalid_request_error', code: 'poisonous_prompt', message: expect.stringContaining('crashed') },
    });
    expect(refusal.status).toBe(422);
    expect(refusal.headers.get('retry-after')).toBeNull();
    expect(await Promise.all(beside.map(({ rest }) => rest()))).toEqual(undisturbed);

    await fleet.until((all) => all.length === 4 && all.every(({ state }) => state === 'serving'));
    const again = Array.from({ length: 20 }, () => fleet.post('/v1/completions', poison));
    for (const { status } of await Promise.all(again)) expect(status).toBe(422);
    const pids = new Set((await fleet.workers()).map(({ pid }) => pid));
    expect(before.filter(({ pid }) => !pids.has(pid))).toHaveLength(2);
    const metrics = await (await fetch(`${fleet.url}/metrics`)).text();
    expect(/^shoal_prompts_quarantined_total (\d+)$/m.exec(metrics)?.[1]).toBe('1');
    expect(fleet.log).toContain('a prompt crashed workers and is quarantined');
  });
});
