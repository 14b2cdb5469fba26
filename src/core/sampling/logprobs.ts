import type { SamplingScratch } from './choice.js';
import { argmax } from './choice.js';
import { Ranking } from './ranking.js';

/** A token's log-probability, and the most likely tokens at its place with theirs, most likely first. */
export interface TokenLogprobs {
  logprob: number;
  top: [number, number][];
}

/**
 * Log-probabilities (natural logarithm) from the model's raw logits, before any adjustment, as OpenAI and vLLM give them.
 * @param alternatives how many of the most likely tokens to name
 * @throws InternalError as `argmax` does.
 */
export function logprobsOf(
  logits: Float32Array,
  token: number,
  alternatives: number,
  scratch: SamplingScratch,
): TokenLogprobs {
  const highest = logits[argmax(logits)]!;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id]! - highest);
  const normalizer = highest + Math.log(sum);
  const top: [number, number][] = [];
  if (alternatives > 0) {
    for (let id = 0; id < logits.length; id++) scratch.ids[id] = id;
    const ranking = new Ranking(logits, scratch.ids, logits.length);
    while (top.length < alternatives && ranking.left > 0) {
      const id = ranking.take();
      top.push([id, logits[id]! - normalizer]);
    }
  }
  return { logprob: logits[token]! - normalizer, top };
}
