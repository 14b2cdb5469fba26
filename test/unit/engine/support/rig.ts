import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { synthesize } from '../../../../bench/synth/model-folder.js';
import { SYNTH_PRESETS, type SynthSpec } from '../../../../bench/synth/spec.js';
import type { BlockKey } from '../../../../src/core/block.js';
import { blockKeys, rootSeed } from '../../../../src/core/key.js';
import { blockBytes } from '../../../../src/core/kv-layout.js';
import type { Device } from '../../../../src/device/device.js';
import { openDevice } from '../../../../src/device/open.js';
import { Engine, type EngineOptions } from '../../../../src/engine/engine.js';
import { loadModelGraph, type ModelGraph } from '../../../../src/engine/model-graph.js';
import { type ModelFolder, openModelFolder } from '../../../../src/model/folder.js';
import type { Provider } from '../../../../src/ort/provider.js';
import { OrtRuntime } from '../../../../src/ort/runtime.js';
import {
  type GenerateEvent,
  type GenerateRequest,
  GREEDY,
  packTokens,
  type Sampling,
  type Stopping,
  type TokenLogprobs,
  unpackTokens,
} from '../../../../src/protocol/generate.js';
import { MemoryCache } from './memory-cache.js';

export const FINGERPRINT = 'f'.repeat(64);

export { GREEDY };
export const SAMPLED: Sampling = { ...GREEDY, temperature: 1, topP: 0.95, seed: 42 };
export const TEN_TOKENS: Stopping = { maxTokens: 10, minTokens: 0, tokenIds: [], ignoreEos: true };

export interface Asked {
  requestId?: string;
  sampling?: Partial<Sampling>;
  stopping?: Partial<Stopping>;
  resumeTokens?: number;
  salt?: string;
}

/** Keys of the full blocks of a request's tokens. */
export function keysOf({ tokens, salt, fingerprint }: GenerateRequest): BlockKey[] {
  return blockKeys(unpackTokens(tokens), rootSeed({ fingerprint, adapter: '', salt })).map(({ key }) => key);
}

/** A request with the fingerprint of all rigs. */
export function ask(tokens: ArrayLike<number>, asked: Asked = {}): GenerateRequest {
  const ids = Uint32Array.from(tokens);
  return {
    requestId: asked.requestId ?? 'request',
    fingerprint: FINGERPRINT,
    tokens: packTokens(ids),
    resumeTokens: asked.resumeTokens ?? 0,
    salt: asked.salt ?? '',
    sources: [],
    sampling: { ...GREEDY, ...asked.sampling },
    stopping: { ...TEN_TOKENS, ...asked.stopping },
  };
}

export interface Answer {
  ids: number[];
  cached: { local: number; remote: number; computed: number };
  end: { reason: 'stop' | 'length'; token: number | null };
  logprobs: TokenLogprobs[];
  prompt: (TokenLogprobs | null)[] | null;
  types: GenerateEvent['type'][];
}

export async function collect(events: AsyncIterable<GenerateEvent>): Promise<Answer> {
  const ids: number[] = [];
  const logprobs: TokenLogprobs[] = [];
  const types: GenerateEvent['type'][] = [];
  let cached = { local: 0, remote: 0, computed: 0 };
  let end: Answer['end'] | null = null;
  let prompt: Answer['prompt'] = null;
  for await (const event of events) {
    types.push(event.type);
    if (event.type === 'start') cached = event.cached;
    else if (event.type === 'prompt') prompt = [...(prompt ?? []), ...event.logprobs];
    else if (event.type === 'end') end = { reason: event.reason, token: event.token };
    else {
      ids.push(...event.ids);
      logprobs.push(...(event.logprobs ?? []));
    }
  }
  if (end === null) throw new Error('the stream ended without an end event');
  return { ids, cached, end, logprobs, prompt, types };
}

export type RigOptions = Partial<EngineOptions> & {
  slots?: number;
  budgetBlocks?: number;
  load?: typeof loadModelGraph;
  openDevice?: typeof openDevice;
  provider?: Provider;
};

/** An engine over a real graph, by default on the CPU, with a `MemoryCache`. */
export class Rig {
  static async open(folder: ModelFolder, options: RigOptions = {}): Promise<Rig> {
    const runtime = OrtRuntime.open();
    const load = options.load ?? loadModelGraph;
    const provider = options.provider ?? { name: 'cpu' };
    const graph = await load(runtime, folder, { provider, threads: 2, allowSpinning: false });
    const device = await (options.openDevice ?? openDevice)(runtime, provider, {
      layout: graph.layout,
      blockBudgetBytes: (options.budgetBlocks ?? 256) * blockBytes(graph.layout),
      slots: options.slots ?? 8,
      capacityTokens: graph.contextTokens,
    });
    return new Rig(folder, runtime, graph, device, options);
  }

  readonly cache: MemoryCache;
  readonly engine: Engine;

  private constructor(
    readonly folder: ModelFolder,
    private readonly runtime: OrtRuntime,
    readonly graph: ModelGraph,
    readonly device: Device,
    options: Partial<EngineOptions>,
  ) {
    this.cache = new MemoryCache(device);
    this.engine = new Engine({
      graph,
      device,
      cache: this.cache,
      fingerprint: FINGERPRINT,
      eosTokenIds: folder.eosTokenIds,
      prefill: { chunkTokens: 64, pauseMs: 0 },
      draftTokens: 0,
      maxWaiting: 64,
      clockNow: () => performance.now(),
      ...options,
    });
  }

  run(request: GenerateRequest, signal = new AbortController().signal): Promise<Answer> {
    return collect(this.engine.generate(request, signal));
  }

  /** Closes the engine, and returns what it leaked. */
  async close(): Promise<string[]> {
    await this.engine.idle();
    const { running, waiting } = this.engine.stats();
    await this.engine.close();
    const { pins, reservations, claims, size } = this.cache;
    const left = { running, waiting, pins, reservations, claims, blocks: this.device.memory().blocks - size };
    this.cache.clear();
    this.device.close();
    this.graph.release();
    this.runtime.release();
    return Object.entries(left).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what}`]));
  }
}

/** A small model with random weights, in a folder that `remove` deletes. */
export async function tinyModel(
  spec: Partial<SynthSpec>,
): Promise<{ folder: ModelFolder; remove: () => Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'shoal-engine-'));
  await synthesize({ ...SYNTH_PRESETS.tiny, ...spec }, dir);
  return { folder: await openModelFolder(dir), remove: () => rm(dir, { recursive: true, force: true }) };
}

/** Random token ids, reproducible by seed. */
export function noise(count: number, vocab: number, seed = 1): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * vocab);
  });
}
