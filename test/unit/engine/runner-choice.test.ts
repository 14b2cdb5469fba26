import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeTwin } from '../../../bench/twins/twin-folder.js';
import { TWINS } from '../../../bench/twins/twins.js';
import { blockBytes } from '../../../src/core/kv-layout.js';
import { openDevice } from '../../../src/device/open.js';
import { loadModelGraph } from '../../../src/engine/model-graph.js';
import { chooseRunner, needsTrial } from '../../../src/engine/runner-choice.js';
import { openModelFolder } from '../../../src/model/folder.js';
import { Tokenizer } from '../../../src/model/tokenizer.js';
import { OrtRuntime } from '../../../src/ort/runtime.js';
import { maskPositionsModel } from '../../support/dependent-models.js';
import { ask, Rig } from './support/rig.js';

/** A graph whose rows of a batch differ from the same sequences alone is run one sequence at a time. */

const RECALL = fileURLToPath(new URL('../../../models/recall', import.meta.url));

let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-choice-'));
  await maskPositionsModel(RECALL, dir);
});

afterAll(() => rm(dir, { recursive: true, force: true }));

/** The choice for a model on the CPU. */
async function chosen(path: string, slots = 2) {
  const runtime = OrtRuntime.open();
  const options = { provider: { name: 'cpu' }, threads: 2, allowSpinning: false } as const;
  const graph = await loadModelGraph(runtime, await openModelFolder(path), options);
  const device = await openDevice(runtime, options.provider, {
    ...{ layout: graph.layout, blockBudgetBytes: 4 * blockBytes(graph.layout), slots, capacityTokens: 512 },
  });
  try {
    return await chooseRunner(graph, device);
  } finally {
    device.close();
    graph.release();
    runtime.release();
  }
}

it('runs the sequences of other graphs together', async () => {
  expect((await chosen(RECALL)).notice).toBeNull();
  expect(await chosen(dir, 1)).toMatchObject({ notice: null, trial: { batch: null } });
});

it.each([
  ['positions out of the mask', () => dir, true],
  ['lengths alone out of the mask', () => RECALL, false],
  ['states', () => join(dir, 'hybrid'), true],
])('needs the trial for a graph with %s', async (_, path, needs) => {
  const runtime = OrtRuntime.open();
  const options = { provider: { name: 'cpu' }, threads: 1, allowSpinning: false } as const;
  await writeTwin(TWINS.find(({ mixers }) => mixers !== null)!, join(dir, 'hybrid'));
  const graph = await loadModelGraph(runtime, await openModelFolder(path()), options);
  try {
    expect(needsTrial(graph)).toBe(needs);
  } finally {
    graph.release();
    runtime.release();
  }
});

it('runs sequences one by one if the shorter rows of a batch are wrong, and says so', async () => {
  const { notice, trial } = await chosen(dir);
  expect(notice).toMatch(/differently beside others .* one by one/);
  expect(trial.batch).toBe(0);
});

it('answers sequences of different lengths at the same time as alone', async () => {
  const { makeRunner } = await chosen(dir);
  const folder = await openModelFolder(dir);
  const tokenizer = await Tokenizer.load(folder);
  const prompts = [1, 4, 9, 16].map((lines) => {
    const notes = Array.from({ length: lines }, (_, i) => `The box ${lines + i} opens with ${1000 + 613 * i}.`);
    return [...tokenizer.encode(`Notes:\n${notes.join('\n')}\nQ: What opens the box ${lines}?\nA:`)];
  });
  const rig = await Rig.open(folder, { makeRunner });
  try {
    const alone: number[][] = [];
    for (const prompt of prompts) alone.push((await rig.run(ask(prompt))).ids);
    const together = await Promise.all(prompts.map((prompt) => rig.run(ask(prompt))));
    expect(together.map(({ ids }) => ids)).toEqual(alone);
  } finally {
    expect(await rig.close()).toEqual([]);
  }
});
