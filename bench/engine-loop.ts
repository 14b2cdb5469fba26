import { openDevice } from '../src/device/open.js';
import { Engine } from '../src/engine/engine.js';
import type { ModelGraph } from '../src/engine/model-graph.js';
import { type GenerateRequest, GREEDY, packTokens, type Sampling } from '../src/protocol/generate.js';
import { NO_CACHE } from '../workers/prefix/no-cache.js';

/** A worker's engine in the process of a benchmark: with scheduling, sampling and events, without messages, HTTP and text. */

const FINGERPRINT = 'e'.repeat(64);

export class EngineLoop {
  private constructor(
    private readonly engine: Engine,
    private readonly closeDevice: () => void,
  ) {}

  /**
   * Over a graph on the CPU, with slots for so many sequences. The caller owns the graph.
   * @param draftTokens how many tokens of an answer it may guess at a time
   */
  static async open(
    graph: ModelGraph,
    sequences: number,
    capacityTokens: number,
    draftTokens = 0,
  ): Promise<EngineLoop> {
    const { layout, runtime } = graph;
    const options = { layout, blockBudgetBytes: 0, slots: sequences, capacityTokens };
    const device = await openDevice(runtime, { name: 'cpu' }, options);
    const engine = new Engine({
      ...{ graph, device, cache: NO_CACHE, fingerprint: FINGERPRINT, eosTokenIds: [] },
      prefill: { chunkTokens: 256, pauseMs: 0 },
      draftTokens,
      maxWaiting: sequences,
      clockNow: () => performance.now(),
    });
    return new EngineLoop(engine, () => device.close());
  }

  /** Tokens per second of one greedy answer, from its first token to its last. */
  async rate(prompt: readonly number[], newTokens: number): Promise<number> {
    return (await this.answer(prompt, newTokens, GREEDY)).rate;
  }

  /** An answer, and its tokens per second from the first token to the last. */
  async answer(prompt: readonly number[], newTokens: number, sampling: Sampling): Promise<TimedAnswer> {
    const timesMs: number[] = [];
    const tokens: number[] = [];
    const request = requestOf(prompt, newTokens, sampling);
    for await (const event of this.engine.generate(request, new AbortController().signal)) {
      if (event.type !== 'tokens') continue;
      tokens.push(...event.ids);
      timesMs.push(...event.ids.map(() => performance.now()));
    }
    if (tokens.length !== newTokens) throw new Error(`expected ${newTokens} tokens, got ${tokens.length}`);
    return { tokens, rate: (1000 * (newTokens - 1)) / (timesMs.at(-1)! - timesMs[0]!) };
  }

  async close(): Promise<void> {
    await this.engine.close();
    this.closeDevice();
  }
}

export interface TimedAnswer {
  readonly tokens: readonly number[];
  readonly rate: number;
}

function requestOf(prompt: readonly number[], maxTokens: number, sampling: Sampling): GenerateRequest {
  return {
    requestId: 'bench',
    fingerprint: FINGERPRINT,
    tokens: packTokens(prompt),
    resumeTokens: 0,
    salt: '',
    sources: [],
    sampling,
    stopping: { maxTokens, minTokens: 0, tokenIds: [], ignoreEos: true },
  };
}
