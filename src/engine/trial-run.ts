import type { GraphTrial } from '../core/graph-trial.js';
import type { KvElementType, KvLayout } from '../core/kv-layout.js';
import { logprobsOf } from '../core/sampling/logprobs.js';
import { argmax } from '../core/sampling/selection.js';
import type { Device } from '../device/device.js';
import { Refused } from '../errors.js';
import type { GraphRunner, SequenceSlot } from './graph-runner.js';
import type { ModelGraph } from './model-graph.js';
import { longestRun, type RunPlan, runPlan } from './run-plan.js';

/** Runs a model's graph before it serves: whether the device can run it, and whether its numbers depend on how a sequence is computed. */

/** Tokens of the prompt beyond its first block. */
const REST_TOKENS = 8;
/** Into how many runs a prompt is divided for comparison. Providers choose kernels by the length of a run; the border is at 32 tokens in WebGPU's. */
const RUNS = 4;
/** How many of the most likely tokens are compared. */
const COMPARED_TOKENS = 8;
/** The greatest difference of log-probabilities that rounding explains, by the element type of K/V. */
export const ROUNDING: Record<KvElementType, number> = {
  ...{ float32: 1e-2, float16: 0.1, bfloat16: 0.5 },
  ...{ int8: 0.5, uint8: 0.5, float8e4m3fn: 0.5, float8e5m2: 0.5 },
};
/** Steps of the pseudorandom token ids. Prime, so that the ids differ. */
const STRIDE = 7_919;

type Way = keyof GraphTrial;

/** Descriptions of the comparisons. */
export const WAYS: Record<Way, string> = {
  chunk: 'a prompt in one run and in several',
  hit: 'a prompt with and without cached blocks',
  step: 'a token in the run of a prompt and in a step of its own',
  batch: 'a step alone and beside another sequence',
};

/**
 * Computes the same logits in the ways in which the engine may compute them, and compares.
 * @param chunkTokens the engine's greatest number of prompt tokens in one run
 * @throws Refused if the device cannot run the graph, with ONNX Runtime's words, or not right
 */
export async function trialRun(
  graph: ModelGraph,
  device: Device,
  makeRunner: (chunkTokens: number) => GraphRunner,
  chunkTokens = Number.POSITIVE_INFINITY,
): Promise<GraphTrial> {
  const { blockTokens } = device.layout;
  const contextTokens = Math.min(graph.contextTokens, device.slot(0).capacityTokens);
  const tokens = Math.min(blockTokens + REST_TOKENS, contextTokens - 2);
  const bounds = { chunkTokens: Math.min(chunkTokens, tokens + 1), blockTokens, contextTokens: tokens + 1, device };
  const runTokens = longestRun(graph.dependence, bounds);
  const runner = makeRunner(runTokens);
  try {
    return await new TrialRun(graph, device, runner, idsOf(tokens + 1, graph.vocab), runTokens).run();
  } catch (error) {
    runner.releaseAll();
    throw new Refused(
      `cannot run the model's graph on device ${device.kind}: ${error instanceof Error ? error.message : error}; try another --device, or another export of the model`,
      { cause: error },
    );
  } finally {
    runner.close();
  }
}

/** Whether a row of a batch differs from the same sequence alone by more than rounding explains. */
export function batchesDiffer({ batch }: GraphTrial, { elementType }: Pick<KvLayout, 'elementType'>): boolean {
  return isApart(batch, ROUNDING[elementType]);
}

/** Whether a step of one token differs from the same token in a longer run by more than rounding explains. */
export function stepsDiffer({ step }: GraphTrial, { elementType }: Pick<KvLayout, 'elementType'>): boolean {
  return isApart(step, ROUNDING[elementType]);
}

function isApart(difference: number | null, most: number): boolean {
  // NaN is apart from everything.
  return difference !== null && !(difference <= most);
}

/** A message that names the ways that differ by more than rounding explains; null if none do. */
export function trialNotice(trial: GraphTrial, { elementType }: Pick<KvLayout, 'elementType'>): string | null {
  const most = ROUNDING[elementType];
  const apart = (Object.keys(WAYS) as Way[])
    .filter((way) => isApart(trial[way], most))
    .map((way) => `by ${trial[way]!.toPrecision(2)} between ${WAYS[way]}`);
  if (apart.length === 0) return null;
  return `answers of this model may depend on the cache and on other requests: log-probabilities differ ${apart.join(', ')}; rounding explains ${most}`;
}

/**
 * Checks that a graph with states besides K/V carries them from run to run: some exporters' graphs reset them in each run of several tokens.
 * @throws Refused if a prompt gives other answers in several runs than in one
 */
export function requireCarriedStates(trial: GraphTrial, layout: Pick<KvLayout, 'elementType' | 'states'>): void {
  const notice = layout.states === undefined ? null : trialNotice(trial, layout);
  if (notice === null) return;
  throw new Refused(
    `cannot run the model's graph: it does not carry the states of its layers from run to run: ${notice}; use another export of the model, or a model whose layers all have K/V`,
  );
}

/** Token ids that differ. */
export function idsOf(count: number, vocab: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => (1 + i * STRIDE) % vocab);
}

/** One trial. Each method leaves the runner without slots. */
class TrialRun {
  private readonly plan: RunPlan;
  private readonly promptTokens: number;

  constructor(
    private readonly graph: ModelGraph,
    private readonly device: Device,
    private readonly runner: GraphRunner,
    private readonly ids: Uint32Array,
    /** The greatest number of tokens of one run. */
    private readonly runTokens: number,
  ) {
    this.plan = runPlan(graph.dependence, device.layout);
    this.promptTokens = ids.length - 1;
  }

  async run(): Promise<GraphTrial> {
    const whole = await this.logitsAfter(this.promptTokens);
    const next = await this.logitsAfter(this.ids.length);
    const stepped = await this.stepped(this.promptTokens);
    const chunk = await this.chunked();
    const hit = await this.hit();
    return {
      chunk: chunk && apart(whole, chunk),
      hit: hit && apart(whole, hit),
      step: apart(next, stepped),
      batch: await this.batched(stepped),
    };
  }

  /** The logits after the first `to` tokens, computed in runs of at most `limit` tokens. */
  private logitsAfter(to: number, limit = this.runTokens): Promise<Float32Array> {
    return this.withSlot((slot) => this.prefill(slot, to, limit));
  }

  private async chunked(): Promise<Float32Array | null> {
    if (this.graph.dependence.kind === 'length') return null;
    return this.logitsAfter(this.promptTokens, Math.min(this.runTokens, Math.ceil(this.promptTokens / RUNS)));
  }

  private async hit(): Promise<Float32Array | null> {
    const { blockTokens } = this.device.layout;
    if (this.promptTokens <= blockTokens || this.graph.dependence.kind === 'length') return null;
    const block = this.device.allocateBlock();
    if (block === null) return null;
    try {
      await this.withSlot(async (slot) => {
        await this.prefill(slot, blockTokens);
        await this.runner.cut(slot, 0, block);
      });
      // Else the block would rest in the row, and not be copied.
      this.runner.releaseAll();
      return await this.withSlot(async (slot) => {
        await this.runner.join(slot, [block]);
        return this.prefill(slot, this.promptTokens);
      });
    } finally {
      this.device.freeBlock(block);
    }
  }

  /** The logits of a step after the first `to` tokens, alone. */
  private stepped(to: number): Promise<Float32Array> {
    return this.withSlot(async (slot) => {
      await this.startDecoding(slot, to);
      return (await this.step()).get(slot)!;
    });
  }

  /**
   * How far the rows of a step of two sequences are from their steps alone. The shorter one is compared too: a graph that derives positions from
   * the width of the mask is right for the longest row alone. Null if the device has no room for two.
   * @param longAlone the logits of a step after the prompt, alone
   */
  private async batched(longAlone: Float32Array): Promise<number | null> {
    if (this.runner.capacity < 2) return null;
    const shortTokens = Math.min(REST_TOKENS, this.promptTokens);
    const shortAlone = await this.stepped(shortTokens);
    return this.withSlot(async (short) => {
      await this.startDecoding(short, shortTokens);
      return this.withSlot(async (long) => {
        await this.startDecoding(long, this.promptTokens);
        const rows = await this.step();
        return Math.max(apart(longAlone, rows.get(long)!), apart(shortAlone, rows.get(short)!));
      });
    });
  }

  private async startDecoding(slot: SequenceSlot, to: number): Promise<void> {
    await this.prefill(slot, to);
    await this.runner.startDecoding(slot);
  }

  /** One step of all decoding slots, in which each gets the last token. */
  private async step(): Promise<Map<SequenceSlot, Float32Array>> {
    const logits = new Map<SequenceSlot, Float32Array>();
    for (const batch of this.runner.batches()) {
      const rows = await this.runner.decode(batch, new Array<number>(batch.length).fill(this.ids.at(-1)!));
      for (const [i, slot] of batch.entries()) logits.set(slot, rows.row(i).slice());
    }
    return logits;
  }

  private async prefill(slot: SequenceSlot, to: number, limit = this.runTokens): Promise<Float32Array> {
    const sequence = { promptTokens: this.promptTokens, length: to };
    let logits: Float32Array | null = null;
    while (slot.tokens < to) {
      const end = Math.min(to, this.plan.endOfRun(sequence, slot.tokens, limit));
      const keep = this.plan.keepsAll ? end - slot.tokens : 1;
      const rows = await this.runner.prefill(slot, this.ids.subarray(slot.tokens, end), keep);
      logits = rows.row(keep - 1).slice();
    }
    return logits!;
  }

  private async withSlot<T>(use: (slot: SequenceSlot) => Promise<T>): Promise<T> {
    const slot = this.runner.acquire('short');
    const result = await use(slot);
    await this.runner.release(slot);
    return result;
  }
}

/** The greatest difference of the log-probabilities of the tokens that `a` takes for likely. */
export function apart(a: Float32Array, b: Float32Array): number {
  const best = argmax(a);
  const { top } = logprobsOf(a, best, COMPARED_TOKENS);
  const differences = top.map(([token, logprob]) => Math.abs(logprob - logprobsOf(b, token, 0).logprob));
  return Math.max(...differences);
}
