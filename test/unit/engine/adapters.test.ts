import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SYNTH_ADAPTERS } from '../../../bench/synth/adapters.js';
import { loadAdapter } from '../../../src/engine/adapter-loader.js';
import { AdapterShelf } from '../../../src/engine/adapter-shelf.js';
import type { AdapterLease, Adapters } from '../../../src/engine/adapters.js';
import type { ModelFolder } from '../../../src/model/folder.js';
import type { AdapterRef } from '../../../src/protocol/adapter.js';
import { type Answer, ask, noise, Rig, SAMPLED, tinyModel } from './support/rig.js';

/** An adapter changes the answers of its own sequences, and those of no others, whatever runs beside them and whatever is cached. */

const SLOTS = 6;
const CONTEXT_TOKENS = 512;

async function refsIn(folder: ModelFolder): Promise<AdapterRef[]> {
  return Promise.all(
    SYNTH_ADAPTERS.map(async (name) => {
      const file = `${name}.onnx_adapter`;
      const bytes = await readFile(join(folder.dir, 'adapters', file));
      return { name, file, bytes: bytes.length, fingerprint: createHash('sha256').update(bytes).digest('hex') };
    }),
  );
}

/** A rig whose engine has adapters. */
async function openRig(folder: ModelFolder, budgetBytes: number): Promise<{ rig: Rig; shelf: AdapterShelf }> {
  let shelf: AdapterShelf | null = null;
  const adapters: Adapters = { lease: (ref, signal): Promise<AdapterLease> => shelf!.lease(ref, signal) };
  const rig = await Rig.open(folder, { slots: SLOTS, adapters });
  shelf = new AdapterShelf({
    budgetBytes,
    load: async ({ file, fingerprint }) =>
      loadAdapter(rig.graph, rig.device, { bytes: await readFile(join(folder.dir, 'adapters', file)), fingerprint }),
    onEvict: (adapter) => rig.engine.forget(adapter),
  });
  return { rig, shelf };
}

describe.each(['gqa', 'concat'] as const)('a graph with LoRA inputs and attention %s', (attention) => {
  let model: Awaited<ReturnType<typeof tinyModel>>;
  let refs: (AdapterRef | undefined)[];
  let adapterBytes: number;

  beforeAll(async () => {
    model = await tinyModel({ attention, loraRank: 4, contextTokens: CONTEXT_TOKENS });
    const adapters = await refsIn(model.folder);
    adapterBytes = adapters[0]!.bytes;
    refs = [undefined, ...adapters];
  });
  afterAll(() => model.remove());

  const prompts = Array.from({ length: 4 }, (_, i) => noise(40 + 45 * i, 512, i + 1));
  /** Each prompt for the base model and for each adapter, in turns. */
  const requests = () =>
    prompts.flatMap((prompt, i) =>
      refs.map((adapter) => ({
        ...ask(prompt, { sampling: i % 2 === 0 ? {} : { ...SAMPLED, seed: i }, stopping: { maxTokens: 12 + 7 * i } }),
        ...(adapter && { adapter }),
      })),
    );

  async function alone(): Promise<Answer[]> {
    const { rig, shelf } = await openRig(model.folder, 2 ** 30);
    const answers: Answer[] = [];
    for (const request of requests()) {
      answers.push(await rig.run(request));
      rig.cache.clear();
    }
    expect(await rig.close()).toEqual([]);
    shelf.close();
    return answers;
  }

  test('answers of the base model and of each adapter differ, and are the same beside others and from the cache', async () => {
    const expected = (await alone()).map(({ ids }) => ids);
    for (let i = 0; i < expected.length; i += refs.length) {
      const texts = expected.slice(i, i + refs.length).map(String);
      expect(new Set(texts).size).toBe(refs.length);
    }
    const { rig, shelf } = await openRig(model.folder, 2 ** 30);
    const first = await Promise.all(requests().map((request) => rig.run(request)));
    expect(first.map(({ ids }) => ids)).toEqual(expected);
    const cold = first.map(({ cached }) => cached.local);
    const second = await Promise.all(requests().map((request) => rig.run(request)));
    expect(second.map(({ ids }) => ids)).toEqual(expected);
    // No prefix of one adapter is another's: each prompt was computed once for each.
    expect(cold.every((tokens) => tokens === 0)).toBe(true);
    expect(second.slice(-refs.length).every(({ cached }) => cached.local > 0)).toBe(true);
    expect(await rig.close()).toEqual([]);
    shelf.close();
  });

  test('answers stay the same while memory has room for one adapter at a time', async () => {
    const expected = (await alone()).map(({ ids }) => ids);
    const { rig, shelf } = await openRig(model.folder, adapterBytes);
    const answers = await Promise.all(requests().map((request) => rig.run(request)));
    expect(answers.map(({ ids }) => ids)).toEqual(expected);
    expect(shelf.loaded.length).toBe(1);
    expect(await rig.close()).toEqual([]);
    shelf.close();
    expect(shelf.bytes).toBe(0);
  });
});

test('sequences of one adapter step together, in one run for each adapter', async () => {
  const { folder, remove } = await tinyModel({ loraRank: 2, contextTokens: CONTEXT_TOKENS });
  const { rig, shelf } = await openRig(folder, 2 ** 30);
  const [a, b] = await refsIn(folder);
  const runs: number[] = [];
  const run = rig.graph.session.run.bind(rig.graph.session);
  let sinceStep = 0;
  rig.graph.session.run = (...args) => {
    sinceStep++;
    return run(...args);
  };
  const order = [undefined, a, b, undefined, a];
  expect(rig.engine.sequences).toBe(SLOTS - 1);
  const answers = order.map((adapter, i) =>
    rig.engine.generate(
      { ...ask(noise(20, 512, i + 1), { stopping: { maxTokens: 60 } }), ...(adapter && { adapter }) },
      new AbortController().signal,
    ),
  );
  // All decode once each has a token; from then on a step of all has as many runs as there are kinds.
  const iterators = answers.map((events) => events[Symbol.asyncIterator]());
  for (const events of iterators) while ((await events.next()).value?.type !== 'tokens');
  for (let step = 0; step < 20; step++) {
    sinceStep = 0;
    await Promise.all(iterators.map((events) => events.next()));
    runs.push(sinceStep);
  }
  expect(Math.max(...runs.slice(-5))).toBeLessThanOrEqual(3);
  for (const events of iterators) await events.return?.();
  expect(await rig.close()).toEqual([]);
  shelf.close();
  await remove();
});

test('a graph without LoRA inputs refuses a request with an adapter', async () => {
  const { folder, remove } = await tinyModel({});
  const rig = await Rig.open(folder, { slots: 2 });
  const adapter = { name: 'a', file: 'a.onnx_adapter', fingerprint: 'a'.repeat(64), bytes: 1 };
  await expect(rig.run({ ...ask([1, 2]), adapter })).rejects.toThrow('the graph of this model takes none');
  expect(await rig.close()).toEqual([]);
  await remove();
});
