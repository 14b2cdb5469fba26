import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { recallPrompt, recallSheet } from '../../../bench/fleet/recall-sheet.js';
import { NO_OBSERVER } from '../../../src/engine/observer.js';
import { type ModelFolder, openModelFolder } from '../../../src/model/folder.js';
import { Tokenizer } from '../../../src/model/tokenizer.js';
import { packTokens } from '../../../src/protocol/generate.js';
import { webGpuMissing } from '../../support/software-vulkan.js';
import { ask, collect, noise, Rig, type RigOptions, tinyModel } from './support/rig.js';

/** The engine on a WebGPU device, compared with the CPU. With a software adapter a step takes up to a second. */

const provider = { name: 'webgpu', options: {} } as const;
const UNTIL_END = { maxTokens: 40, ignoreEos: false };
const SLOW_MS = 300_000;

const missing = webGpuMissing();
const onGpu = missing === null ? describe : describe.skip;

onGpu(`on a WebGPU device${missing === null ? '' : ` (${missing})`}`, () => {
  let folder: ModelFolder;
  let tokenizer: Tokenizer;
  const open = (options: RigOptions = {}) => Rig.open(folder, { slots: 4, provider, ...options });

  beforeAll(async () => {
    folder = await openModelFolder(fileURLToPath(new URL('../../../models/recall', import.meta.url)));
    tokenizer = await Tokenizer.load(folder);
  });

  describe('a prompt whose first 1,000 tokens the CPU has computed', () => {
    let cpu: Rig;
    let gpu: Rig;
    beforeAll(async () => {
      cpu = await Rig.open(folder);
      gpu = await open();
    }, SLOW_MS);
    afterAll(async () => {
      expect([await cpu.close(), await gpu.close()]).toEqual([[], []]);
    });

    test('is answered as on the CPU, and copies less than 64 KB besides the logits', { timeout: SLOW_MS }, async () => {
      const sheet = recallSheet(110, 3);
      const prompt = tokenizer.encode(recallPrompt(sheet, sheet.questions[0]!.question));
      expect(prompt.length).toBeGreaterThan(1_000);
      const request = ask(prompt, { stopping: { maxTokens: 4 } });
      const { ids } = await cpu.run(request);
      await gpu.cache.copyFrom(cpu.cache);
      const before = gpu.device.copies();
      const answer = await gpu.run(request);
      const after = gpu.device.copies();
      expect(answer.ids).toEqual(ids);
      expect(answer.cached.local).toBeGreaterThanOrEqual(Math.floor((prompt.length - 1) / 64) * 64);
      const logits = answer.ids.length * gpu.graph.vocab * 4;
      const moved = after.h2d - before.h2d + (after.d2h - before.d2h) - logits;
      expect(moved).toBeGreaterThan(0);
      expect(moved).toBeLessThan(64_000);
      // The prefix was copied within the device.
      expect(after.d2d - before.d2d).toBeGreaterThan(1_000 * 4096);
    });
  });

  test('questions of different lengths are answered right in a batch, and no K/V is copied to the host', {
    timeout: SLOW_MS,
  }, async () => {
    const gpu = await open();
    const sheet = recallSheet(8, 7);
    const requests = sheet.questions
      .slice(0, 3)
      .map(({ question }) => ask(tokenizer.encode(recallPrompt(sheet, question)), { stopping: UNTIL_END }));
    const before = gpu.device.copies();
    const answers = await Promise.all(requests.map((request) => gpu.run(request)));
    const texts = answers.map(({ ids }) => tokenizer.decode(ids).trim());
    expect(texts).toEqual(sheet.questions.slice(0, 3).map(({ answer }) => answer));
    expect(gpu.cache.size).toBeGreaterThan(0);
    // The logits of each token, end token and prompt chunk, and the few words of each block by which its memory is probed.
    const chunks = Math.ceil(128 / Math.min(64, gpu.device.longestRunTokens));
    const runs = answers.reduce((sum, { ids }) => sum + ids.length + 1, 0) + chunks * requests.length;
    const { d2h } = gpu.device.copies();
    expect(d2h - before.d2h).toBeLessThanOrEqual(runs * gpu.graph.vocab * 4 + 1024);
    expect(await gpu.close()).toEqual([]);
  });

  test('a hand-on graph keeps its K/V within the device', { timeout: SLOW_MS }, async () => {
    const model = await tinyModel({ attention: 'concat' });
    const [cpu, gpu] = [await Rig.open(model.folder), await Rig.open(model.folder, { provider, slots: 2 })];
    const request = ask(noise(150, cpu.graph.vocab));
    const { ids } = await cpu.run(request);
    const before = gpu.device.copies();
    expect((await gpu.run(request)).ids).toEqual(ids);
    const hit = await gpu.run(request);
    expect(hit).toMatchObject({ ids, cached: { local: 128 } });
    const runs = 2 * ids.length + Math.ceil(150 / Math.min(64, gpu.device.longestRunTokens));
    const { d2h } = gpu.device.copies();
    expect(d2h - before.d2h).toBeLessThanOrEqual(runs * gpu.graph.vocab * 4 + 1024);
    expect([await cpu.close(), await gpu.close()]).toEqual([[], []]);
    await model.remove();
  });

  test('an answer is the same with guessed tokens', { timeout: SLOW_MS }, async () => {
    const model = await tinyModel({ attention: 'gqa' });
    const observer = { ...NO_OBSERVER, onGuessed: vi.fn() };
    const cpu = await Rig.open(model.folder);
    const gpu = await Rig.open(model.folder, { provider, slots: 2, draftTokens: 7, observer, clockNow: () => 0 });
    const prompt = noise(100, 3).map((id) => id + 5);
    const sampling = { allowed: packTokens(Uint32Array.of(5, 6, 7)) };
    const request = ask(prompt, { sampling, stopping: { maxTokens: 40 } });
    expect((await gpu.run(request)).ids).toEqual((await cpu.run(request)).ids);
    expect(observer.onGuessed).toHaveBeenCalled();
    expect([await cpu.close(), await gpu.close()]).toEqual([[], []]);
    await model.remove();
  });

  test('a cancelled request leaks nothing, and the next one is answered', {
    timeout: SLOW_MS,
  }, async () => {
    const model = await tinyModel({});
    const gpu = await Rig.open(model.folder, { provider, slots: 2, prefill: { chunkTokens: 16, pauseMs: 0 } });
    const controller = new AbortController();
    const prompt = noise(200, gpu.graph.vocab);
    const given = gpu.engine.generate(ask(prompt), controller.signal);
    while (gpu.device.copies().d2d === 0) await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    await expect(collect(given)).rejects.toThrow(/cancelled/);
    expect((await gpu.run(ask(prompt))).ids).toHaveLength(10);
    expect(await gpu.close()).toEqual([]);
    await model.remove();
  });
});
