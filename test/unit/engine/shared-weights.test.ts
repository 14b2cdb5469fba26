import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { synthesize } from '../../../bench/synth/model-folder.js';
import { SYNTH_PRESETS } from '../../../bench/synth/spec.js';
import { SystemClock } from '../../../src/clock.js';
import { loadModelGraph, type ModelGraph } from '../../../src/engine/model-graph.js';
import { type ModelFolder, openModelFolder } from '../../../src/model/folder.js';
import { WeightCache } from '../../../src/model/weight-cache.js';
import { OrtRuntime } from '../../../src/ort/runtime.js';
import { RECALL, scratchFolder } from '../model/folders.js';
import { ask, Rig } from './support/rig.js';

/** Weights from a shared file compute the same numbers as weights of the process's own. */

const OPTIONS = { threads: 1, allowSpinning: false };
const runtime = OrtRuntime.open();
afterAll(() => runtime.release());

async function newCache(leastBytes = 0): Promise<WeightCache> {
  return new WeightCache(join(await scratchFolder(), 'weights'), new SystemClock(), { leastBytes });
}

/** The answer to a prompt and its log-probabilities, and the kind of the weights. */
async function answer(folder: ModelFolder, weightCache: WeightCache | null) {
  let kind: ModelGraph['weights']['kind'] | null = null;
  const load: typeof loadModelGraph = async (of, from, options) => {
    const graph = await loadModelGraph(of, from, { ...options, weightCache });
    kind = graph.weights.kind;
    return graph;
  };
  const rig = await Rig.open(folder, { load });
  const prompt = Array.from({ length: 150 }, (_, i) => (i * 29) % 500);
  const { ids, logprobs } = await rig.run(
    ask(prompt, { sampling: { logprobs: 5 }, stopping: { maxTokens: 12, ignoreEos: true } }),
  );
  expect(await rig.close()).toEqual([]);
  return { ids, logprobs, kind };
}

const SHAPES = [
  ['recall', async () => RECALL],
  ['float16', async () => synth({ dtype: 'float16' })],
  ['graph that hands K/V on', async () => synth({ attention: 'concat' })],
] as const;

async function synth(change: object): Promise<string> {
  const dir = join(await scratchFolder(), 'model');
  await synthesize({ ...SYNTH_PRESETS.tiny, ...change }, dir);
  return dir;
}

test.each(SHAPES)(
  'a %s computes the same with shared weights, for the process that saves them and for a later one',
  async (_, dir) => {
    const folder = await openModelFolder(await dir());
    const cache = await newCache();
    const own = await answer(folder, null);
    expect(own.kind).toBe('own');
    for (let i = 0; i < 2; i++) expect(await answer(folder, cache)).toEqual({ ...own, kind: 'shared' });
  },
);

test('models of other bytes have other entries', async () => {
  const cache = await newCache();
  const paths: string[] = [];
  for (const seed of [1, 2, 1]) {
    const graph = await loadModelGraph(runtime, await openModelFolder(await synth({ seed })), {
      ...OPTIONS,
      weightCache: cache,
    });
    if (graph.weights.kind !== 'shared') throw new Error(graph.weights.why);
    paths.push(graph.weights.path);
    graph.release();
  }
  expect(paths[2]).toBe(paths[0]);
  expect(paths[1]).not.toBe(paths[0]);
});

test('a small model is not shared, and a folder that cannot be used is no obstacle', async () => {
  const folder = await openModelFolder(await synth({}));
  const small = await loadModelGraph(runtime, folder, { ...OPTIONS, weightCache: await newCache(2 ** 26) });
  expect(small.weights).toEqual({ kind: 'own', why: 'models of less than 67108864 bytes are not shared' });
  small.release();
  const file = join(await scratchFolder(), 'file');
  await writeFile(file, '');
  const weightCache = new WeightCache(file, new SystemClock(), { leastBytes: 0 });
  const failed = await loadModelGraph(runtime, folder, { ...OPTIONS, weightCache });
  expect(failed.weights).toMatchObject({ kind: 'failed', why: expect.stringMatching(/EEXIST|ENOTDIR/) });
  failed.release();
});
