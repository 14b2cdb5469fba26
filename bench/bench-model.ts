import { homedir } from 'node:os';
import { join } from 'node:path';
import { readMachine } from '../src/config/machine.js';
import { defaultThreads } from '../src/config/worker-config.js';
import { loadModelGraph, type ModelGraph } from '../src/engine/model-graph.js';
import { openModelFolder } from '../src/model/folder.js';
import { OrtRuntime } from '../src/ort/runtime.js';
import { synthModelFolder } from './synth/model-folder.js';

/** Makes the model that is measured with, once, in the cache folder. Gives its folder. */
export function benchModel(): Promise<string> {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  return synthModelFolder('bench-90m', join(cache, 'shoal', 'models'));
}

/** The graph alone, in this process, with the threads that a worker of a small fleet takes. */
export async function benchGraph(dir: string, threads: number): Promise<ModelGraph> {
  return loadModelGraph(OrtRuntime.open(), await openModelFolder(dir), { threads, allowSpinning: false });
}

/** Threads of one worker among a few on this machine. */
export function benchThreads(): number {
  return defaultThreads(readMachine(), 1);
}

/** Token ids that no other prompt of the run begins with. */
export function randomTokens(count: number): number[] {
  return Array.from({ length: count }, () => 256 + Math.floor(Math.random() * 7000));
}
