import { InternalError } from '../../errors.js';
import { crop } from './crop.js';
import type { SamplingScratch } from './scratch.js';

/** Greedy selection of a token, and drawing with temperature, min-p, top-k and top-p. */

/** What of a token's distribution may be drawn. */
export interface SelectionSettings {
  /** 0 takes the most likely token. */
  readonly temperature: number;
  /** The k most likely; 0 is off. */
  readonly topK: number;
  /** The fewest most likely tokens whose probabilities sum to at least this; 1 is off. */
  readonly topP: number;
  /** Tokens at least this times as likely as the most likely one; 0 is off. */
  readonly minP: number;
}

/**
 * The id with the highest logit, the lowest of equals.
 * @throws InternalError if a logit is not a number or there is no highest: a model gone wrong must not look like an answer.
 */
export function argmax(logits: Float32Array): number {
  let best = -1;
  let highest = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    // Also true of NaN, which is found thereby without a second comparison per token.
    if (!(logit <= highest)) {
      best = id;
      highest = logit;
      if (!(logit < Number.POSITIVE_INFINITY)) break;
    }
  }
  if (best < 0 || !(highest < Number.POSITIVE_INFINITY)) {
    throw new InternalError(
      `choosing a token: the logits are no distribution (${best < 0 ? 'all -Infinity' : `${highest} for token ${best}`})`,
    );
  }
  return best;
}

/**
 * Draws a token. The order is that of vLLM's sampler: temperature, min-p, top-k, top-p, each over what the ones before left, then the
 * draw among the rest in proportion to their probabilities. Equal logits at the edge of top-k or top-p go to the lowest ids.
 *
 * `uniform` in [0, 1) picks by the cumulative distribution in order of ids, so that a difference in the last bits of the logits, as between
 * a batch and a sequence alone, moves the borders by as little.
 * @throws InternalError as `argmax` does.
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
