import { join } from 'node:path';
import { inCacheFolder } from '../src/config/cache-folder.js';
import { readMachine } from '../src/config/machine.js';
import { defaultThreads } from '../src/config/worker-config.js';
import { loadModelGraph, type ModelGraph } from '../src/engine/model-graph.js';
import { openModelFolder } from '../src/model/folder.js';
import { OrtRuntime } from '../src/ort/runtime.js';
import type { Spinning } from '../src/ort/spinning.js';
import { synthModelFolder } from './synth/model-folder.js';

/** The model that the benchmarks use, and its graph. */

/** Creates the benchmark model in the cache folder unless it is there. Returns its folder. @throws Unavailable if it cannot be written */
export function benchModel(): Promise<string> {
  const make = (folder: string) => synthModelFolder('bench-90m', join(folder, 'models'));
  return inCacheFolder('write the model of the benchmarks', 'set HOME', process.env, make);
}

/** Loads the graph in this process, by default with threads that spin without a limit: a floor must not have the cost of a worker's choice. */
export async function benchGraph(
  dir: string,
  threads: number,
  spinning: Spinning = { allowSpinning: true, spinMicros: Number.POSITIVE_INFINITY },
): Promise<ModelGraph> {
  return loadModelGraph(OrtRuntime.open(), await openModelFolder(dir), { threads, ...spinning });
}

/** The default number of threads of a single worker on this machine. */
export function benchThreads(): number {
  return defaultThreads(readMachine(), 1);
}

/** Random token ids, so that no two prompts have a common prefix. */
export function randomTokens(count: number): number[] {
  return Array.from({ length: count }, () => 256 + Math.floor(Math.random() * 7000));
}
