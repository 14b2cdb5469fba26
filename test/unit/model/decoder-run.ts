import ort, { type InferenceSession, type Tensor } from 'onnxruntime-node';
import type { GraphSignature } from '../../../src/model/graph-signature.js';

// If Float16Array exists (from Node 24 on), onnxruntime-node returns float16 tensors as such arrays, which it then cannot read itself.
Reflect.deleteProperty(globalThis, 'Float16Array');

export interface Logits {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** Reference: runs one sequence of a decoder with onnxruntime-node, each run's K/V outputs being the next inputs. */
export class DecoderRun {
  private past: Record<string, Tensor> = {};
  private tokens = 0;
  private padding = 0;

  private constructor(
    private readonly session: InferenceSession,
    private readonly signature: GraphSignature,
  ) {
    const { kvHeads, headDim, elementType } = signature.layout;
    for (const name of signature.pastNames) {
      const none = elementType === 'float32' ? new Float32Array(0) : new Uint16Array(0);
      this.past[name] = new ort.Tensor(elementType as 'float32', none as Float32Array, [1, kvHeads, 0, headDim]);
    }
  }

  /** @param model a path, or the bytes of an ONNX file */
  static async open(model: string | Uint8Array, signature: GraphSignature, dataFolder?: string): Promise<DecoderRun> {
    const extra = dataFolder ? { session: { model_external_initializers_file_folder_path: dataFolder } } : {};
    const options: InferenceSession.SessionOptions = { intraOpNumThreads: 1, logSeverityLevel: 3, extra };
    const session =
      typeof model === 'string'
        ? await ort.InferenceSession.create(model, options)
        : await ort.InferenceSession.create(model, options);
    return new DecoderRun(session, signature);
  }

  /** The number of first tokens that are masked for later ones. */
  ignoreSoFar(): void {
    this.padding = this.tokens;
  }

  /** Runs the next tokens of the sequence. `keep` is passed to a graph with `num_logits_to_keep`. */
  async step(ids: readonly number[], keep = 1): Promise<Logits> {
    const total = this.tokens + ids.length;
    const int64 = (values: readonly number[], dims: number[]) =>
      new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
    const feeds: Record<string, Tensor> = { ...this.past, input_ids: int64(ids, [1, ids.length]) };
    if (this.signature.hasAttentionMask)
      feeds.attention_mask = int64(new Array(total).fill(1).fill(0, 0, this.padding), [1, total]);
    if (this.signature.hasPositionIds) {
      const positions = ids.map((_, i) => this.tokens - this.padding + i);
      feeds.position_ids = int64(positions, [1, ids.length]);
    }
    if (this.signature.logitsToKeep) feeds.num_logits_to_keep = int64([keep], []);
    const results = await this.session.run(feeds);
    this.signature.pastNames.forEach((name, i) => {
      this.past[name] = results[this.signature.presentNames[i]!]!;
    });
    this.tokens = total;
    const { dims, data } = results.logits!;
    return { dims, data: data as Float32Array };
  }

  /** Decodes greedily. */
  async greedy(prompt: readonly number[], count: number): Promise<number[]> {
    const chosen: number[] = [];
    let ids = prompt;
    while (chosen.length < count) {
      const { data, dims } = await this.step(ids);
      const last = data.subarray(data.length - dims[2]!);
      const next = last.reduce((best, logit, id) => (logit > last[best]! ? id : best), 0);
      chosen.push(next);
      ids = [next];
    }
    return chosen;
  }

  close(): Promise<void> {
    return this.session.release();
  }
}
