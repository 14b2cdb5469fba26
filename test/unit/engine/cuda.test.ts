import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { blockBytes } from '../../../src/core/kv-layout.js';
import { InPlaceRunner } from '../../../src/engine/in-place-runner.js';
import { loadModelGraph } from '../../../src/engine/model-graph.js';
import { liveHandles } from '../../../src/native/handle.js';
import { CUDA, CudaStandIn } from '../../support/cuda/stand-in.js';
import { ask, noise, Rig, tinyModel } from './support/rig.js';

/** The engine on a cuda device over a stand-in, whose runs are the CPU's. */

const GOLDEN = '../../vectors/cuda-calls.txt';

describe('the engine on a cuda device', () => {
  let model: Awaited<ReturnType<typeof tinyModel>>;
  let cuda: CudaStandIn;
  beforeEach(async () => {
    model = await tinyModel({});
    cuda = new CudaStandIn();
  });
  afterEach(async () => {
    expect(cuda.gpu.library.refusals).toEqual([]);
    expect(cuda.close()).toEqual([]);
    expect(liveHandles()).toEqual({});
    await model.remove();
  });

  const open = (slots: number) =>
    Rig.open(model.folder, { provider: CUDA, slots, openDevice: (_, __, options) => cuda.open(options) });

  test('answers as on the CPU, cold, cached, in a crowd, and from blocks of the CPU', async () => {
    const cpu = await Rig.open(model.folder);
    const requests = [20, 70, 150, 200].map((tokens, i) => ask(noise(tokens, cpu.graph.vocab, i)));
    const expected: number[][] = [];
    for (const request of requests) expected.push((await cpu.run(request)).ids);
    const gpu = await open(3);
    const crowd = await Promise.all(requests.map((request) => gpu.run(request)));
    expect(crowd.map(({ ids }) => ids)).toEqual(expected);
    for (const [i, request] of requests.entries()) {
      const { ids, cached } = await gpu.run(request);
      expect(ids).toEqual(expected[i]);
      expect(cached.local).toBe([0, 64, 128, 192][i]);
    }
    const other = await open(1);
    await other.cache.copyFrom(cpu.cache);
    const { ids, cached } = await other.run(requests[3]!);
    expect([ids, cached.local]).toEqual([expected[3], 192]);
    expect([await cpu.close(), await gpu.close(), await other.close()]).toEqual([[], [], []]);
  });

  test('makes the calls that are recorded', async () => {
    const { runtime, gpu } = cuda;
    const graph = await loadModelGraph(runtime, model.folder, { provider: CUDA, threads: 1, allowSpinning: false });
    const { layout } = graph;
    const size = blockBytes(layout);
    const device = await cuda.open({ layout, blockBudgetBytes: 2 * size, slots: 2, capacityTokens: 128 });
    const runner = new InPlaceRunner(graph, device, 128);
    const [ids, bytes] = [Uint32Array.from(noise(70, graph.vocab)), new Uint8Array(size)];
    const [computed, promoted] = [device.allocateBlock()!, device.allocateBlock()!];
    const recorded: string[] = [];
    const record = async (name: string, act: () => Promise<unknown>) => {
      gpu.takeCalls();
      await act();
      recorded.push(`# ${name}`, ...gpu.takeCalls(), '');
    };
    const first = runner.acquire('short');
    await record('prefill of 70 tokens', () => runner.prefill(first, ids, 1));
    await record('cut of the first block', () => runner.cut(first, 0, computed));
    await record('demotion: download of the block', () => device.download(computed, bytes));
    await record('promotion: upload of the block', () => device.upload(promoted, bytes));
    await runner.startDecoding(first);
    await record('decode step', () => runner.decode([first], [1]));
    const second = runner.acquire('short');
    await record('hit: join of one block', () => runner.join(second, [promoted]));
    await record('hit: prefill of the rest', () => runner.prefill(second, ids.subarray(64), 1));
    await runner.startDecoding(second);
    await record('decode step of two', () => runner.decode([first, second], [1, 2]));
    await record('release: move of the last row', () => runner.release(first));
    await expect(recorded.join('\n')).toMatchFileSnapshot(GOLDEN);
    runner.releaseAll();
    runner.close();
    for (const block of [computed, promoted]) device.freeBlock(block);
    device.close();
    graph.release();
  });
});
