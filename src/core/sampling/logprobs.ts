import type { TokenLogprobs } from '../../protocol/generate.js';
import { argmax } from './selection.js';

/**
 * Log-probabilities (natural logarithm) from the model's raw logits, before any adjustment, as OpenAI and vLLM give them.
 * @param alternatives how many of the most likely tokens to name
 * @throws InternalError as `argmax` does.
 */
export function logprobsOf(logits: Float32Array, token: number, alternatives: number): TokenLogprobs {
  const highest = logits[argmax(logits)]!;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id]! - highest);
  const normalizer = highest + Math.log(sum);
  const top = mostLikely(logits, alternatives).map((id): [number, number] => [id, logits[id]! - normalizer]);
  return { logprob: logits[token]! - normalizer, top };
}

/** The ids of the `count` highest logits, highest first, the lowest ids of equals. For small counts: they are kept in order by insertion. */
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
