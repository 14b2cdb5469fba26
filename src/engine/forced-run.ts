import { regimeOf } from '../core/kv-dependence.js';
import type { Device } from '../device/device.js';
import { InternalError } from '../errors.js';
import type { GraphRunner, SequenceSlot } from './graph-runner.js';
import type { ModelGraph } from './model-graph.js';
import { runPlan } from './run-plan.js';

/** Runs a model's graph over a prompt and an answer that is given, as the engine would compute them for one request. */

/**
 * Computes the logits from which each token of `answer` would be chosen.
 * @param runner with a free slot
 * @param chunkTokens how many tokens of the prompt may run together, at most
 * @param take called with the index in `answer` and the logits, which are valid during the call
 */
export async function forcedRun(
  graph: ModelGraph,
  device: Device,
  runner: GraphRunner,
  { prompt, answer }: { readonly prompt: Uint32Array; readonly answer: Uint32Array },
  chunkTokens: number,
  take: (index: number, logits: Float32Array) => void,
): Promise<void> {
  const slot = runner.acquire(regimeOf(graph.dependence, prompt.length + answer.length));
  take(0, await prefilled(graph, device, runner, slot, prompt, chunkTokens));
  await runner.startDecoding(slot);
  for (const [i, id] of answer.subarray(0, -1).entries()) {
    const batch = runner.batches().find((slots) => slots.includes(slot));
    if (batch?.length !== 1) throw new InternalError('cannot run the answer: its sequence is not alone in a batch');
    take(i + 1, (await runner.decode(batch, [id])).row(0));
  }
  await runner.release(slot);
}

/** The logits after the prompt. */
async function prefilled(
  { dependence }: ModelGraph,
  { layout }: Device,
  runner: GraphRunner,
  slot: SequenceSlot,
  prompt: Uint32Array,
  chunkTokens: number,
): Promise<Float32Array> {
  const plan = runPlan(dependence, layout);
  const sequence = { promptTokens: prompt.length, length: prompt.length };
  for (;;) {
    const end = plan.endOfRun(sequence, slot.tokens, chunkTokens);
    const keep = plan.keepsAll ? end - slot.tokens : 1;
    const rows = await runner.prefill(slot, prompt.subarray(slot.tokens, end), keep);
    if (end === prompt.length) return rows.row(keep - 1);
  }
}
