/** The memory that ONNX Runtime takes for one run of a graph on the CPU, beside weights and the K/V of sequences: an estimate from above. */

/** What determines the temporary tensors of a run. */
export interface RunDemand {
  /** The tokens of the longest run; infinite if a prompt is computed in one run, however long it is. */
  readonly runTokens: number;
  /** The query heads of a layer. */
  readonly heads: number;
  /** How many tensors `[heads, tokens of the run, tokens of the sequence]` of float32 a run has at the same time. */
  readonly scoreTensors: number;
  /** The elements of the widest state of a token within a layer. */
  readonly width: number;
  /** The logits that are computed for each token of a run; 0 if only those of the last one are. */
  readonly logits: number;
  /** Bytes per token of the K/V that a run returns beside the K/V that it reads; 0 if it appends in place. */
  readonly returnedBytes: number;
}

const FLOAT_BYTES = 4;
/** The states of a layer that are there at the same time, in units of the widest one: measured 5 for Llama's structure. */
const LAYER_STATES = 6;

/** The bytes that one run takes at the end of a sequence of `tokens` tokens. */
export function runBytes(demand: RunDemand, tokens: number): number {
  const { runTokens, heads, scoreTensors, width, logits, returnedBytes } = demand;
  const run = Math.min(runTokens, tokens);
  const scores = scoreTensors * heads * tokens;
  return Math.ceil(run * (scores + LAYER_STATES * width + logits) * FLOAT_BYTES) + tokens * returnedBytes;
}
