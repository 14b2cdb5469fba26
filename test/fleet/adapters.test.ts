import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { chunksOf } from '../../bench/fleet/chunks.js';
import { pooled } from '../../bench/fleet/fleet-api.js';
import { SYNTH_ADAPTERS } from '../../bench/synth/adapters.js';
import { synthesize } from '../../bench/synth/model-folder.js';
import { SYNTH_PRESETS } from '../../bench/synth/spec.js';
import { Fleet } from './support/fleet.js';

/** Many models of one base: each answers as if it were alone, whatever is cached, wherever it runs, and whoever dies. */

const BASE = 'base';
const MODELS = [BASE, ...SYNTH_ADAPTERS];
/** Prompts of different lengths. All begin alike, so that a block of the wrong model would be found for each. */
const PROMPTS = [1, 2, 3, 4].map(
  (n) => `${'many models share these words '.repeat(20)}${'and these too '.repeat(9 * n)}`,
);
/** Long enough that sequences of several models decode at a time. */
const ANSWER = { max_tokens: 40, ignore_eos: true };

const asked = PROMPTS.flatMap((prompt, i) =>
  MODELS.map((model) => ({ ...ANSWER, model, prompt, temperature: i % 2 === 0 ? 0 : 0.9, seed: i })),
);

describe('LoRA adapters', () => {
  let home: string;
  let modelDir: string;
  let expected: string[];
  let fleet: Fleet | null = null;

  const up = async (...args: string[]): Promise<Fleet> => {
    fleet = await Fleet.up(['--model', modelDir, ...args]);
    return fleet;
  };
  const textOf = async (running: Fleet, body: Record<string, unknown>, headers = {}) => {
    const answer = await running.complete(body, headers);
    return { text: answer.choices[0]!.text, cached: answer.shoal.cached, worker: answer.shoal.worker };
  };
  const texts = (running: Fleet) =>
    pooled(
      8,
      asked.map((body) => async () => (await textOf(running, body)).text),
    );

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'shoal-adapters-'));
    modelDir = join(home, BASE);
    await synthesize({ ...SYNTH_PRESETS.tiny, loraRank: 4 }, modelDir);
    const alone = await up('--workers', '1', '--cache', 'off');
    expected = await pooled(
      1,
      asked.map((body) => async () => (await textOf(alone, body)).text),
    );
    await alone.stop();
    fleet = null;
  });
  afterEach(async () => {
    await fleet?.stop();
    fleet = null;
  });
  afterAll(() => rm(home, { recursive: true, force: true }));

  it('answer differently from each other and from their base', () => {
    for (let i = 0; i < expected.length; i += MODELS.length)
      expect(new Set(expected.slice(i, i + MODELS.length)).size).toBe(MODELS.length);
  });

  it('keep their answers over three workers of which one is killed, cold, cached, and fetched from peers', async () => {
    const running = await up('--workers', '3', '--replicas', '2');
    // Each model computes the first prompt itself, although the others have computed it.
    for (const model of MODELS) {
      const { text, cached } = await textOf(running, { ...asked[0]!, model });
      expect([text, cached.local + cached.remote]).toEqual([expected[MODELS.indexOf(model)], 0]);
    }
    const victim = running.ready.workers[1]!;
    let answered = 0;
    const cold = await pooled(
      8,
      asked.map((body) => async () => {
        const { text } = await textOf(running, body);
        if (++answered === 3) process.kill(victim.pid, 'SIGKILL');
        return text;
      }),
    );
    expect(cold).toEqual(expected);
    await running.until((all) =>
      all.every(({ id, pid, state }) => state === 'serving' && (id !== victim.id || pid !== victim.pid)),
    );
    expect(await texts(running)).toEqual(expected);
    // On each worker in turn: the new one has no block, and gets what the others have.
    let remote = 0;
    for (const { id } of running.ready.workers) {
      for (const [i, body] of asked.entries()) {
        const { text, cached } = await textOf(running, body, { 'x-shoal-worker': id });
        expect(text, `${body.model} on ${id}`).toBe(expected[i]);
        remote += cached.remote;
      }
    }
    expect(remote).toBeGreaterThan(0);
  });

  it('continue on another worker when theirs dies in the middle of a stream', async () => {
    const running = await up('--workers', '2', '--replicas', '1');
    const body = { model: SYNTH_ADAPTERS[0], prompt: PROMPTS[0]!, max_tokens: 300, ignore_eos: true, seed: 3 };
    const undisturbed = (await running.complete({ ...body, temperature: 0.8 })).choices[0]!.text;
    const response = await running.post('/v1/completions', { ...body, temperature: 0.8, stream: true });
    let text = '';
    let killed = false;
    for await (const chunk of chunksOf(response)) {
      text += chunk.choices[0]?.text ?? '';
      if (killed || text.length < 40) continue;
      killed = true;
      const workers = await running.until((all) => all.some((worker) => worker.running > 0));
      process.kill(workers.find((worker) => worker.running > 0)!.pid, 'SIGKILL');
    }
    expect(text).toBe(undisturbed);
    expect(await running.metric('shoal_requests_resumed_total')).toBe(1);
  });

  it('come and go while the fleet runs, at all coordinators', async () => {
    const running = await up('--workers', '1', '--coordinators', '2');
    const urls = running.ready.coordinators?.map(({ url }) => url) ?? [];
    expect(urls.length).toBe(2);
    const names = async (url: string) => {
      const { data } = (await (await fetch(`${url}/v1/models`)).json()) as {
        data: { id: string; parent: string | null }[];
      };
      return data.map(({ id, parent }) => `${id} of ${parent}`);
    };
    const untilServed = async (wanted: readonly string[]) => {
      for (const url of urls) while (String(await names(url)) !== String(wanted));
    };
    await untilServed(['base of null', 'tuned-a of base', 'tuned-b of base']);
    await copyFile(join(modelDir, 'adapters/tuned-b.onnx_adapter'), join(home, 'base/adapters/third.onnx_adapter'));
    await untilServed(['base of null', 'third of base', 'tuned-a of base', 'tuned-b of base']);
    await rm(join(home, 'base/adapters/third.onnx_adapter'));
    const load = { lora_name: 'renamed', lora_path: join(modelDir, 'adapters/tuned-a.onnx_adapter') };
    expect((await running.post('/v1/load_lora_adapter', load)).status).toBe(200);
    expect((await running.post('/v1/load_lora_adapter', load)).status).toBe(400);
    await untilServed(['base of null', 'renamed of base', 'tuned-a of base', 'tuned-b of base']);
    // The same bytes under another name: the same answer, from the same blocks.
    const own = await textOf(running, { ...asked[1]!, model: 'tuned-a' });
    const renamed = await textOf(running, { ...asked[1]!, model: 'renamed' });
    expect(renamed.text).toBe(own.text);
    expect(renamed.cached.local).toBeGreaterThan(0);
    expect(await running.metric('shoal_adapter_requests_total{adapter="renamed"}')).toBe(1);
    expect((await running.post('/v1/unload_lora_adapter', { lora_name: 'tuned-a' })).status).toBe(200);
    await untilServed(['base of null', 'renamed of base', 'tuned-b of base']);
    expect((await running.post('/v1/completions', { ...asked[1]!, model: 'tuned-a' })).status).toBe(404);
    expect((await running.post('/v1/unload_lora_adapter', { lora_name: 'tuned-a' })).status).toBe(404);
  });

  it('have pins of their own, which are computed with them', async () => {
    const running = await up('--workers', '2');
    const [model, prompt] = [SYNTH_ADAPTERS[0]!, PROMPTS[3]!];
    expect((await running.post('/v1/cache/pin', { model, prompt })).status).toBe(200);
    const states = async () => {
      const { data } = (await (await fetch(`${running.url}/v1/cache/pins`)).json()) as { data: { state: string }[] };
      return data.map(({ state }) => state);
    };
    while (String(await states()) !== 'held');
    for (const [i, body] of asked.entries()) {
      if (body.prompt !== prompt) continue;
      const { text, cached } = await textOf(running, body);
      expect(text).toBe(expected[i]);
      if (body.model === model) expect(cached.local + cached.remote).toBeGreaterThan(64);
      else expect(cached).toMatchObject({ local: 0, remote: 0 });
    }
  });
});
