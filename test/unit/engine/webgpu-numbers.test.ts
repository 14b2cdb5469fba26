import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../../src/device/device.js';
import { runnerOf } from '../../../src/engine/engine.js';
import { trialNotice, trialRun } from '../../../src/engine/trial-run.js';
import { type ModelFolder, openModelFolder } from '../../../src/model/folder.js';
import { webGpuMissing } from '../../support/software-vulkan.js';
import { type Answer, ask, noise, Rig, tinyModel } from './support/rig.js';

/** The numbers of a WebGPU device, compared with those of the CPU. */

const provider = { name: 'webgpu', options: {} } as const;
const SLOW_MS = 300_000;

const missing = webGpuMissing();

describe.skipIf(missing !== null)(`numbers on a WebGPU device${missing === null ? '' : ` (${missing})`}`, () => {
  let folder: ModelFolder;
  let cpu: Rig;
  let gpu: Rig;

  beforeAll(async () => {
    folder = await openModelFolder(fileURLToPath(new URL('../../../models/recall', import.meta.url)));
    [cpu, gpu] = [await Rig.open(folder), await Rig.open(folder, { provider, slots: 2 })];
  }, SLOW_MS);
  afterAll(async () => {
    expect([await cpu.close(), await gpu.close()]).toEqual([[], []]);
  });

  test("a prompt's log-probabilities are the CPU's, cold and after a hit", { timeout: SLOW_MS }, async () => {
    const prompt = noise(70, cpu.graph.vocab);
    const wanted = { sampling: { logprobs: 1, promptLogprobs: true }, stopping: { maxTokens: 1 } };
    const expected = await cpu.run(ask(prompt, wanted));
    const cold = await gpu.run(ask(prompt, wanted));
    expect(apart(cold.prompt!, expected.prompt!)).toBeLessThan(1e-3);
    expect(apart(cold.logprobs, expected.logprobs)).toBeLessThan(1e-3);
    const hit = await gpu.run(ask(prompt, { ...wanted, sampling: { logprobs: 1 } }));
    expect(hit.cached.local).toBe(64);
    expect(apart(hit.logprobs, expected.logprobs)).toBeLessThan(1e-3);
  });

  test('a trial finds no difference, and names one where runs are too long for the adapter', {
    timeout: SLOW_MS,
  }, async () => {
    const model = await tinyModel({});
    const rig = await Rig.open(model.folder, { provider, slots: 2 });
    const { graph, device } = rig;
    const tried = async (on: Device) =>
      trialNotice(await trialRun(graph, on, (runTokens) => runnerOf(graph, on, runTokens)), device.layout);
    expect(await tried(device)).toBeNull();
    if (Number.isFinite(device.longestRunTokens)) {
      const unbounded = Object.create(device, { longestRunTokens: { value: Number.POSITIVE_INFINITY } }) as Device;
      // If this fails, ONNX Runtime computes longer runs right, and src/device/webgpu/run-limit.ts is no longer needed.
      expect(await tried(unbounded)).toMatch(/differ by .* between a prompt in one run and in several/);
    }
    expect(await rig.close()).toEqual([]);
    await model.remove();
  });
});

/** The greatest difference of the first log-probabilities of each position. */
function apart(a: Answer['logprobs'] | NonNullable<Answer['prompt']>, b: typeof a): number {
  expect(a).toHaveLength(b.length);
  return Math.max(...a.map((token, i) => Math.abs((token?.logprob ?? 0) - (b[i]?.logprob ?? 0))));
}
