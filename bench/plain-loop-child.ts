import ort, { type InferenceSession, type Tensor } from 'onnxruntime-node';
import type { PlainLoopOptions, PlainSteps } from './plain-loop.js';

/** The child process of `plain-loop.ts`; the only file that imports onnxruntime-node. */

const CHUNK_TOKENS = 256;

/** A decoder over the package's own binding: the present outputs of a run are the past inputs of the next. */
class PlainLoop {
  private past: Record<string, Tensor> = {};
  private tokens = 0;

  private constructor(
    private readonly session: InferenceSession,
    private readonly options: PlainLoopOptions,
  ) {
    const { kvHeads, headDim, past } = options;
    for (const name of past) this.past[name] = new ort.Tensor('float32', new Float32Array(0), [1, kvHeads, 0, headDim]);
  }

  static async open(options: PlainLoopOptions): Promise<PlainLoop> {
    const sessionOptions = { intraOpNumThreads: options.threads };
    const loop = new PlainLoop(await ort.InferenceSession.create(options.modelPath, sessionOptions), options);
    for (let i = 0; i < options.prompt.length; i += CHUNK_TOKENS)
      await loop.run(options.prompt.slice(i, i + CHUNK_TOKENS));
    return loop;
  }

  /** Decodes from the end of the prompt on. `first` is the first token to run. */
  async steps(first: number, count: number): Promise<PlainSteps> {
    const { past, tokens } = this;
    const ms: number[] = [];
    const chosen: number[] = [];
    for (let step = 0; step < count; step++) {
      const startMs = performance.now();
      chosen.push(await this.run([chosen.at(-1) ?? first]));
      ms.push(performance.now() - startMs);
    }
    this.past = past;
    this.tokens = tokens;
    return { ms, tokens: chosen };
  }

  /** Runs the next tokens. Returns the most likely one after them. */
  private async run(ids: readonly number[]): Promise<number> {
    const total = this.tokens + ids.length;
    const { inputNames } = this.session;
    const feeds: Record<string, Tensor> = { ...this.past, input_ids: int64(ids, [1, ids.length]) };
    if (inputNames.includes('attention_mask')) feeds.attention_mask = int64(new Array(total).fill(1), [1, total]);
    if (inputNames.includes('position_ids')) {
      feeds.position_ids = int64(
        ids.map((_, i) => this.tokens + i),
        [1, ids.length],
      );
    }
    if (inputNames.includes('num_logits_to_keep')) feeds.num_logits_to_keep = int64([1], []);
    const results = await this.session.run(feeds);
    const { past, present } = this.options;
    this.past = Object.fromEntries(past.map((name, i) => [name, results[present[i]!]!]));
    this.tokens = total;
    const { data, dims } = results.logits!;
    return mostLikely((data as Float32Array).subarray(-dims.at(-1)!));
  }
}

function int64(numbers: readonly number[], dims: readonly number[]): Tensor {
  return new ort.Tensor('int64', BigInt64Array.from(numbers, BigInt), dims);
}

function mostLikely(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[best]!) best = id;
  return best;
}

process.on('disconnect', () => process.exit(0));
process.once('message', async (options: PlainLoopOptions) => {
  const loop = await PlainLoop.open(options);
  process.on('message', async ({ first, count }: { first: number; count: number }) => {
    process.send?.(await loop.steps(first, count));
  });
  process.send?.('ready');
});
