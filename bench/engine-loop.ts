import { openDevice } from '../src/device/open.js';
import { Engine } from '../src/engine/engine.js';
import type { ModelGraph } from '../src/engine/model-graph.js';
import { type GenerateRequest, GREEDY, packTokens } from '../src/protocol/generate.js';
import { NO_CACHE } from '../workers/prefix/no-cache.js';

/** A worker's engine in the process of a benchmark: with scheduling, sampling and events, without messages, HTTP and text. */

const FINGERPRINT = 'e'.repeat(64);

export class EngineLoop {
  private constructor(
    private readonly engine: Engine,
    private readonly closeDevice: () => void,
  ) {}

  /** Over a graph on the CPU, with slots for so many sequences. The caller owns the graph. */
  static async open(graph: ModelGraph, sequences: number, capacityTokens: number): Promise<EngineLoop> {
    const { layout, runtime } = graph;
    const options = { layout, blockBudgetBytes: 0, slots: sequences, capacityTokens };
    const device = await openDevice(runtime, { name: 'cpu' }, options);
    const engine = new Engine({
      ...{ graph, device, cache: NO_CACHE, fingerprint: FINGERPRINT, eosTokenIds: [] },
      prefill: { chunkTokens: 256, pauseMs: 0 },
      draftTokens: 0,
      maxWaiting: sequences,
      clockNow: () => performance.now(),
    });
    return new EngineLoop(engine, () => device.close());
  }

  /** Tokens per second of one greedy answer, from its first token to its last. */
  async rate(prompt: readonly number[], newTokens: number): Promise<number> {
    const timesMs: number[] = [];
    for await (const event of this.engine.generate(requestOf(prompt, newTokens), new AbortController().signal)) {
      if (event.type === 'tokens') timesMs.push(...event.ids.map(() => performance.now()));
    }
    if (timesMs.length !== newTokens) throw new Error(`expected ${newTokens} tokens, got ${timesMs.length}`);
    return (1000 * (newTokens - 1)) / (timesMs.at(-1)! - timesMs[0]!);
  }

  async close(): Promise<void> {
    await this.engine.close();
    this.closeDevice();
  }
}

function requestOf(prompt: readonly number[], maxTokens: number): GenerateRequest {
  return {
    requestId: 'bench',
    fingerprint: FINGERPRINT,
    tokens: packTokens(prompt),
    resumeTokens: 0,
    salt: '',
    sources: [],
    sampling: GREEDY,
    stopping: { maxTokens, minTokens: 0, tokenIds: [], ignoreEos: true },
  };
}
