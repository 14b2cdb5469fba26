import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTwin } from '../../../bench/twins/twin-folder.js';
import { TWINS } from '../../../bench/twins/twins.js';
import { blockBytes } from '../../../src/core/kv-layout.js';
import { openDevice } from '../../../src/device/open.js';
import { runnerOf } from '../../../src/engine/engine.js';
import { loadModelGraph, type ModelGraph } from '../../../src/engine/model-graph.js';
import { requireCarriedStates, trialNotice, trialRun } from '../../../src/engine/trial-run.js';
import { openModelFolder } from '../../../src/model/folder.js';
import { OrtRuntime } from '../../../src/ort/runtime.js';
import {
  dynamicallyQuantizedModel,
  longRopeModel,
  maskPositionsModel,
  windowedModel,
} from '../../support/dependent-models.js';
import { tinyModel } from './support/rig.js';

const RECALL = fileURLToPath(new URL('../../../models/recall', import.meta.url));

let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-trial-'));
});

afterAll(() => rm(dir, { recursive: true, force: true }));

/** Tries a model on the CPU; `change` may misstate what its K/V depends on. */
async function tried(
  folderPath: string,
  change: (graph: ModelGraph) => ModelGraph = (graph) => graph,
  { slots = 2, capacityTokens = 512 } = {},
) {
  const runtime = OrtRuntime.open();
  const options = { provider: { name: 'cpu' }, threads: 2, allowSpinning: false } as const;
  const graph = change(await loadModelGraph(runtime, await openModelFolder(folderPath), options));
  const device = await openDevice(runtime, options.provider, {
    ...{ layout: graph.layout, blockBudgetBytes: 4 * blockBytes(graph.layout), slots, capacityTokens },
  });
  try {
    const trial = await trialRun(graph, device, (runTokens) => runnerOf(graph, device, runTokens));
    expect(device.memory().blocks).toBe(0);
    return trial;
  } finally {
    device.close();
    graph.release();
    runtime.release();
  }
}

describe('a trial of a model', () => {
  it.each([
    ['by its operators', 'Identity', /its output "present\.0\.key" does not have the K\/V of all tokens/],
    ['in the trial', 'Add', /output "present\.0\.key" has K\/V of 20 tokens after \d+/],
  ] as const)('refuses a graph that keeps a window of K/V %s', async (_, through, words) => {
    const { folder, remove } = await tinyModel({ attention: 'concat' });
    try {
      await windowedModel(folder.dir, join(dir, through), 20, through);
      await expect(tried(join(dir, through))).rejects.toThrow(words);
    } finally {
      await remove();
    }
  });

  it.each([
    ['that appends K/V in place', 'gqa'],
    ['that hands K/V on', 'concat'],
  ] as const)('finds no differences in a graph %s', async (_, attention) => {
    const { folder, remove } = await tinyModel({ attention });
    try {
      const trial = await tried(folder.dir);
      for (const difference of Object.values(trial)) expect(difference).toBeLessThan(1e-3);
    } finally {
      await remove();
    }
  });

  it.each(['convolution', 'forgetful convolution', 'linear'] as const)(
    'tells whether the states of layers of kind %s are carried from run to run',
    async (mixer) => {
      const mixers = [mixer, 'attention'] as const;
      const twin = { ...TWINS.find(({ attention }) => attention === 'concat')!, mixers };
      const path = join(dir, mixer);
      await writeTwin(twin, path);
      const layout = { elementType: 'float32', states: [{ dims: [64, 3], elementType: 'float32' }] } as const;
      const trial = await tried(path);
      const required = () => requireCarriedStates(trial, layout);
      if (mixer === 'forgetful convolution') expect(required).toThrow(/does not carry the states of its layers/);
      else expect(required).not.toThrow();
      expect(() => requireCarriedStates(trial, { elementType: 'float32' })).not.toThrow();
    },
  );

  it.each([4, 64, 66])('fits slots of %s tokens, with or without a hit', async (capacityTokens) => {
    const { hit, step } = await tried(RECALL, (graph) => graph, { capacityTokens });
    expect(step).toBeLessThan(1e-3);
    expect(hit === null).toBe(capacityTokens - 2 <= 64);
  });

  it('skips the batch of two on a device with room for one', async () => {
    expect(await tried(RECALL, (graph) => graph, { slots: 1 })).toMatchObject({ batch: null });
  });

  it('finds no differences in graphs whose K/V depends on more than the prefix, as they are run', async () => {
    await dynamicallyQuantizedModel(RECALL, join(dir, 'quantized'));
    expect(await tried(join(dir, 'quantized'))).toEqual({ chunk: 0, hit: 0, step: 0, batch: 0 });
    await longRopeModel(RECALL, join(dir, 'long-rope'), 300);
    for (const difference of Object.values(await tried(join(dir, 'long-rope')))) expect(difference).toBeLessThan(1e-3);
  });

  it('finds a graph whose numbers depend on the chunk, if nothing in it says so', async () => {
    await dynamicallyQuantizedModel(RECALL, join(dir, 'quantized'));
    const trial = await tried(join(dir, 'quantized'), (graph) => ({ ...graph, dependence: { kind: 'prefix' } }));
    expect(trialNotice(trial, { elementType: 'float32' })).toMatch(/differ by .* between .*; rounding explains 0.01/);
  });

  it('finds a graph that computes the shorter rows of a batch at the positions of the longest one', async () => {
    await maskPositionsModel(RECALL, join(dir, 'mask-positions'));
    const { batch, ...others } = await tried(join(dir, 'mask-positions'));
    for (const difference of Object.values(others)) expect(difference).toBeLessThan(1e-3);
    expect(batch).toBeGreaterThan(0.1);
  });

  it("refuses a graph that cannot run, with ONNX Runtime's words", async () => {
    const past = 'past_key_values.0.key';
    const broken = tried(RECALL, (graph) => ({
      ...graph,
      layout: graph.layout,
      names: { ...graph.names, past: graph.names.past.map(() => past) },
    }));
    await expect(broken).rejects.toThrow(/cannot run the model's graph on device cpu: ONNX Runtime .*--device/);
  });

  it('names the ways that differ', () => {
    const same = { chunk: 0, hit: 0, step: 0, batch: 0 };
    expect(trialNotice(same, { elementType: 'float32' })).toBeNull();
    expect(trialNotice({ ...same, hit: null, batch: 0.05 }, { elementType: 'float16' })).toBeNull();
    expect(trialNotice({ ...same, step: Number.NaN }, { elementType: 'float32' })).toMatch(/by NaN between a token/);
    expect(trialNotice({ ...same, batch: 0.05 }, { elementType: 'float32' })).toMatch(/0.050 .*beside another/);
  });
});
