import { InternalError } from '../../errors.js';
import { crop } from './crop.js';
import type { SamplingScratch } from './scratch.js';

/** Chooses a token: greedily, or by sampling with temperature, min-p, top-k and top-p. */
export interface SelectionSettings {
  /** 0 chooses the most likely token. */
  readonly temperature: number;
  /** Keeps the k most likely tokens; 0 is off. */
  readonly topK: number;
  /** Keeps the smallest set of most likely tokens whose probabilities sum to at least this; 1 is off. */
  readonly topP: number;
  /** Keeps tokens that are at least this times as likely as the most likely one; 0 is off. */
  readonly minP: number;
}

/**
 * The id with the highest logit; of equal ones, the lowest id.
 * @throws InternalError if a logit is NaN or +Infinity, or all are -Infinity, so that a broken model fails instead of answering
 */
export function argmax(logits: Float32Array): number {
  let best = -1;
  let highest = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    // Also true for NaN, so one comparison per token finds both.
    if (!(logit <= highest)) {
      best = id;
      highest = logit;
      if (!(logit < Number.POSITIVE_INFINITY)) break;
    }
  }
  if (best < 0 || !(highest < Number.POSITIVE_INFINITY)) {
    throw new InternalError(
      `cannot choose a token: the logits are not a distribution (${best < 0 ? 'all are -Infinity' : `${highest} for token ${best}`})`,
    );
  }
  return best;
}

/**
 * Samples a token. Filters apply in the order of vLLM's sampler, temperature, min-p, top-k, top-p, each to the tokens that the previous ones
 * kept; then one of the remaining tokens is drawn. Of equal logits at the edge of top-k or top-p, the lowest ids are kept.
 *
 * @param uniform in [0, 1); selects by the cumulative distribution in order of ids. Rounding differences of the logits, as between a batch and
 * a single sequence, therefore shift the boundaries between tokens only slightly.
 * @throws InternalError as `argmax` does
 */
export function choose(
  logits: Float32Array,
  { temperature, topK, topP, minP }: SelectionSettings,
  uniform: number,
  scratch: SamplingScratch,
): number {
  const best = argmax(logits);
  if (temperature === 0) return best;
  const { weights, ids } = scratch;
  const highest = logits[best]!;
  let count = 0;
  for (let id = 0; id < logits.length; id++) {
    const weight = Math.exp((logits[id]! - highest) / temperature);
    weights[id] = weight;
    if (weight > 0 && weight >= minP) ids[count++] = id;
  }
  if (topK > 0 && topK < count) count = crop(logits, scratch, count, 'count', topK);
  if (topP < 1) count = crop(logits, scratch, count, 'weight', topP * sumOf(scratch, count));
  const target = uniform * sumOf(scratch, count);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum += weights[ids[i]!]!;
    if (sum > target) return ids[i]!;
  }
  return ids[count - 1]!;
}

function sumOf({ ids, weights }: SamplingScratch, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += weights[ids[i]!]!;
  return sum;
}
