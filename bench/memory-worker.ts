import { SystemClock } from '../src/clock.js';
import { loadModelGraph } from '../src/engine/model-graph.js';
import { openModelFolder } from '../src/model/folder.js';
import { WeightCache } from '../src/model/weight-cache.js';
import { OrtRuntime } from '../src/ort/runtime.js';
import { BareLoop, bareSteps } from './bare-loop.js';

/** A child process of `memory.ts`: the model as a worker has it, and nothing else of a worker. */

export interface MemoryWorkerOptions {
  readonly modelDir: string;
  readonly threads: number;
  /** The folder of shared weights; null for weights of the process's own. */
  readonly weightsDir: string | null;
  readonly prompt: readonly number[];
  readonly steps: number;
}

/** The answer of the process when the model is loaded and has run. */
export interface MemoryWorkerReady {
  /** The token after the prompt, and the tokens that the steps chose. */
  readonly tokens: readonly number[];
  readonly stepMs: readonly number[];
}

async function load(options: MemoryWorkerOptions): Promise<MemoryWorkerReady> {
  const { modelDir, threads, weightsDir, prompt, steps } = options;
  const weightCache = weightsDir === null ? null : new WeightCache(weightsDir, new SystemClock());
  const folder = await openModelFolder(modelDir);
  const graph = await loadModelGraph(OrtRuntime.open(), folder, { threads, allowSpinning: false, weightCache });
  if (weightsDir !== null && graph.weights.kind !== 'shared') throw new Error(graph.weights.why);
  const loop = new BareLoop(graph, prompt.length + steps + 1);
  const [first] = await loop.run([prompt], 0);
  const { ms, tokens } = await bareSteps(loop, [first!], prompt.length, steps);
  return { tokens: [first!, ...tokens.flat()], stepMs: ms };
}

if (process.send) {
  process.on('disconnect', () => process.exit(0));
  process.once('message', async (options: MemoryWorkerOptions) => {
    process.send?.(await load(options));
  });
}
