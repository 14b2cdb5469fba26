import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Twin } from '../../../bench/twins/twin.js';
import { writeTwin } from '../../../bench/twins/twin-folder.js';
import { TWINS } from '../../../bench/twins/twins.js';
import { runBytes } from '../../../src/core/run-memory.js';
import { loadModelGraph } from '../../../src/engine/model-graph.js';
import { runDemand } from '../../../src/engine/run-demand.js';
import { openModelFolder } from '../../../src/model/folder.js';
import { OrtRuntime } from '../../../src/ort/runtime.js';

/** What a run of a graph is estimated to take. */

const CHUNK_TOKENS = 256;
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-demand-'));
});

afterAll(() => rm(dir, { recursive: true, force: true }));

async function demandOf(twin: Twin, name: string) {
  await writeTwin(twin, join(dir, name));
  const folder = await openModelFolder(join(dir, name));
  const runtime = OrtRuntime.open();
  const graph = await loadModelGraph(runtime, folder, { threads: 1, allowSpinning: false });
  try {
    return runDemand(folder, graph, CHUNK_TOKENS);
  } finally {
    graph.release();
    runtime.release();
  }
}

const named = (exporter: Twin['exporter'], weights: Twin['weights'] = 'float') =>
  TWINS.find((twin) => twin.exporter === exporter && twin.weights === weights)!;

it('is that of a chunk, with scores of all heads where the graph joins K/V', async () => {
  const inPlace = await demandOf(named('genai builder'), 'in-place');
  expect(inPlace).toMatchObject({ runTokens: CHUNK_TOKENS, heads: 4, returnedBytes: 0, logits: 0 });
  const joined = await demandOf({ ...named('optimum'), kvHeads: 1 }, 'joined');
  expect(joined).toMatchObject({ runTokens: CHUNK_TOKENS, heads: 4, logits: 0, returnedBytes: 2 * 2 * 16 * 4 });
  expect(joined.scoreTensors).toBeGreaterThan(inPlace.scoreTensors);
});

it('is that of a whole prompt where K/V depends on the length of the sequence, and grows with its square', async () => {
  const twin = named('optimum');
  const demand = await demandOf({ ...twin, config: { ...twin.config, rope_scaling: { type: 'dynamic' } } }, 'length');
  expect(demand.runTokens).toBe(Number.POSITIVE_INFINITY);
  expect(runBytes(demand, 8192) / runBytes(demand, 4096)).toBeGreaterThan(3.5);
  const chunked = { ...demand, runTokens: CHUNK_TOKENS };
  expect(runBytes(chunked, 8192) / runBytes(chunked, 4096)).toBeLessThan(2.1);
});

it('is that of a block with the logits of all its tokens where numbers depend on the run', async () => {
  expect(await demandOf(named('optimum', 'q8'), 'run')).toMatchObject({ runTokens: 64, logits: 512 });
});
