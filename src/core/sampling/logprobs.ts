import type { TokenLogprobs } from '../../protocol/generate.js';
import { argmax } from './selection.js';

/**
 * Natural log-probabilities from the model's raw logits, before any adjustment, as in OpenAI's API and vLLM.
 * @param alternatives the number of most likely tokens in `top`, or the tokens themselves
 * @throws InternalError as `argmax` does
 */
export function logprobsOf(
  logits: Float32Array,
  token: number,
  alternatives: number | readonly number[],
): TokenLogprobs {
  const highest = logits[argmax(logits)]!;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id]! - highest);
  const normalizer = highest + Math.log(sum);
  const ids =
    typeof alternatives === 'number'
      ? mostLikely(logits, alternatives)
      : alternatives.toSorted((a, b) => logits[b]! - logits[a]! || a - b);
  const top = ids.map((id): [number, number] => [id, logits[id]! - normalizer]);
  return { logprob: logits[token]! - normalizer, top };
}

/** The place of a token among all, the most likely first; 1 for that one. Of equally likely tokens, all have the place of the first. */
export function rankOf(logits: Float32Array, token: number): number {
  const logit = logits[token]!;
  let rank = 1;
  for (let id = 0; id < logits.length; id++) if (logits[id]! > logit) rank++;
  return rank;
}

/** The ids of the `count` highest logits, highest first, then by lowest id. Uses insertion, for small counts. */
function mostLikely(logits: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let id = 0; count > 0 && id < logits.length; id++) {
    const logit = logits[id]!;
    if (best.length === count) {
      if (logit <= logits[best[count - 1]!]!) continue;
      best.pop();
    }
    let at = best.length;
    while (at > 0 && logit > logits[best[at - 1]!]!) at--;
    best.splice(at, 0, id);
  }
  return best;
}
