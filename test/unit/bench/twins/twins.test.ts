import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TokenChoice } from '../../../../bench/twins/near-tie.js';
import { PlainDecoder } from '../../../../bench/twins/plain-decoder.js';
import type { Twin } from '../../../../bench/twins/twin.js';
import { writeTwin } from '../../../../bench/twins/twin-folder.js';
import { REFUSED_TWINS, TWINS } from '../../../../bench/twins/twins.js';
import { blockBytes } from '../../../../src/core/kv-layout.js';
import { openDevice } from '../../../../src/device/open.js';
import { HandOnRunner } from '../../../../src/engine/hand-on-runner.js';
import { loadModelGraph } from '../../../../src/engine/model-graph.js';
import { openModelFolder } from '../../../../src/model/folder.js';
import { graphSignature } from '../../../../src/model/graph-signature.js';
import { OrtRuntime } from '../../../../src/ort/runtime.js';
import { type Answer, ask, noise, Rig } from '../../engine/support/rig.js';
import { scratchFolder } from '../../model/folders.js';

/** Graphs of many families answer as ONNX Runtime does by itself, whether their K/V is computed, cached or batched. */

const ANSWER_TOKENS = 16;
const BLOCK_TOKENS = 64;

let scratch: string;
let runtime: OrtRuntime;
let made = 0;

beforeAll(async () => {
  scratch = await scratchFolder();
  runtime = OrtRuntime.open();
});

afterAll(() => runtime.release());

async function written(twin: Twin): Promise<string> {
  const dir = join(scratch, `twin-${made++}`);
  await writeTwin(twin, dir);
  return dir;
}

const titled = TWINS.map((twin) => ({
  twin,
  title: `${twin.architecture} of ${twin.exporter}, ${twin.dtype}, ${twin.weights}, K/V ${twin.kvType}`,
}));

describe('a graph like that of', () => {
  it.each(titled)('$title answers as plain ONNX Runtime: cold, from the cache and in a batch', async ({ twin }) => {
    const folder = await openModelFolder(await written(twin));
    // Longer than a block: of a hybrid, a run must end at each block even so.
    const rig = await Rig.open(
      folder,
      twin.mixers === null ? {} : { prefill: { chunkTokens: 4 * BLOCK_TOKENS, pauseMs: 0 } },
    );
    const plain = await PlainDecoder.open(runtime, folder.graphPath);
    const runTokens = rig.graph.dependence.kind === 'run' ? BLOCK_TOKENS : Number.POSITIVE_INFINITY;
    const answer = (prompt: readonly number[]) => rig.run(ask(prompt, { stopping: { maxTokens: ANSWER_TOKENS } }));
    const choices = async (prompt: readonly number[], { ids }: Answer) => {
      expect(ids).toHaveLength(ANSWER_TOKENS);
      return (await plain.compare(prompt, ids, runTokens)).map(({ choice }) => choice);
    };
    const equal = new Array<TokenChoice>(ANSWER_TOKENS).fill('equal');
    try {
      const prefix = noise(2 * BLOCK_TOKENS, twin.vocab);
      const prompts = [20, 11, 30].map((count, i) => [...prefix, ...noise(count, twin.vocab, 7 + i)]);
      const cold = await answer(prompts[0]!);
      // Otherwise equal answers would tell little.
      expect(new Set(cold.ids).size).toBeGreaterThanOrEqual(4);
      expect(await choices(prompts[0]!, cold)).toEqual(equal);
      const hit = await answer(prompts[1]!);
      expect(hit.cached.local).toBe(2 * BLOCK_TOKENS);
      expect(await choices(prompts[1]!, hit)).toEqual(equal);
      const batch = [...prompts, noise(33, twin.vocab, 20), noise(5, twin.vocab, 21)];
      const answers = await Promise.all(batch.map(answer));
      for (const [i, prompt] of batch.entries()) expect(await choices(prompt, answers[i]!)).toEqual(equal);
    } finally {
      plain.release();
      expect(await rig.close()).toEqual([]);
    }
  });

  it.each(titled.filter(({ twin }) => twin.dtype === 'float16'))(
    '$title chooses another token only where rounding decides, and the same alone and in a batch',
    async ({ twin }) => {
      const folder = await openModelFolder(await written(twin));
      const rig = await Rig.open(folder);
      const plain = await PlainDecoder.open(runtime, folder.graphPath);
      const answer = (prompt: readonly number[]) => rig.run(ask(prompt, { stopping: { maxTokens: ANSWER_TOKENS } }));
      try {
        const prompts = Array.from({ length: 40 }, (_, i) => noise(5 + i, twin.vocab, i));
        const batched = await Promise.all(prompts.map(answer));
        for (const [i, prompt] of prompts.entries()) {
          const choices = await plain.compare(prompt, batched[i]!.ids, Number.POSITIVE_INFINITY);
          expect(choices.filter(({ choice }) => choice === 'apart')).toEqual([]);
          expect((await answer(prompt)).ids).toEqual(batched[i]!.ids);
        }
      } finally {
        plain.release();
        expect(await rig.close()).toEqual([]);
      }
    },
  );

  it('a hybrid gives no block whose states are those of later tokens', async () => {
    const folder = await openModelFolder(await written(TWINS.find(({ mixers }) => mixers !== null)!));
    const graph = await loadModelGraph(runtime, folder, { threads: 1, allowSpinning: false });
    const device = await openDevice(
      runtime,
      { name: 'cpu' },
      { layout: graph.layout, blockBudgetBytes: blockBytes(graph.layout), slots: 1, capacityTokens: 256 },
    );
    const runner = new HandOnRunner(graph, device, 256);
    const slot = runner.acquire('short');
    const block = device.allocateBlock()!;
    await runner.prefill(slot, Uint32Array.from(noise(BLOCK_TOKENS, 512)), 1);
    await runner.cut(slot, 0, block);
    await runner.prefill(slot, Uint32Array.of(7), 1);
    await expect(runner.cut(slot, 0, block)).rejects.toThrow('cannot cut a block at token 0: the states of the slot');
    await runner.release(slot);
    runner.close();
    device.freeBlock(block);
    device.close();
    graph.release();
  });

  it.each(REFUSED_TWINS.map(({ twin, words }) => ({ twin, words, title: twin.architecture })))(
    '$title is refused, with the input and the reason',
    async ({ twin, words }) => {
      const { graph, config } = await openModelFolder(await written(twin));
      expect(() => graphSignature(graph, config, BLOCK_TOKENS)).toThrow(words);
    },
  );
});
