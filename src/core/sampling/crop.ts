import { Ranking } from './ranking.js';
import { SamplingScratch } from './scratch.js';

/** The smallest set of most likely candidates that reaches a count or a weight, without sorting. */

const BUCKETS = SamplingScratch.BUCKETS;

/**
 * Reduces the candidates `scratch.ids[0, count)` to the first ones, by highest logit and then lowest id, whose count or weight reaches `limit`.
 * They stay in ascending order of ids. A histogram over the logits finds the bucket in which the limit is reached; only that bucket is
 * ranked.
 * @param limit must be positive
 * @returns the number of candidates kept
 */
export function crop(
  logits: Float32Array,
  scratch: SamplingScratch,
  count: number,
  by: 'count' | 'weight',
  limit: number,
): number {
  const { ids, weights, edge, amounts } = scratch;
  const { highest, scale } = rangeOf(logits, ids, count);
  amounts.fill(0);
  for (let i = 0; i < count; i++) {
    const id = ids[i]!;
    amounts[((highest - logits[id]!) * scale) | 0]! += by === 'count' ? 1 : weights[id]!;
  }
  let sum = 0;
  let bucket = 0;
  while (bucket < BUCKETS && sum + amounts[bucket]! < limit) sum += amounts[bucket++]!;
  let inBucket = 0;
  for (let i = 0; i < count; i++) {
    const id = ids[i]!;
    if ((((highest - logits[id]!) * scale) | 0) === bucket) edge[inBucket++] = id;
  }
  const ranking = new Ranking(logits, edge, inBucket);
  let last = -1;
  while (ranking.left > 0 && sum < limit) {
    last = ranking.next();
    sum += by === 'count' ? 1 : weights[last]!;
  }
  return last < 0 ? count : keepUpTo(logits, ids, count, last);
}

/** Keeps the candidates up to `last` in the ranking. */
function keepUpTo(logits: Float32Array, ids: Int32Array, count: number, last: number): number {
  const lowest = logits[last]!;
  let left = 0;
  for (let i = 0; i < count; i++) {
    const id = ids[i]!;
    if (logits[id]! > lowest || (logits[id] === lowest && id <= last)) ids[left++] = id;
  }
  return left;
}

/** The highest logit, which belongs to bucket 0, and the number of buckets per unit of logit. */
function rangeOf(logits: Float32Array, ids: Int32Array, count: number): { highest: number; scale: number } {
  let highest = Number.NEGATIVE_INFINITY;
  let lowest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const logit = logits[ids[i]!]!;
    if (logit > highest) highest = logit;
    if (logit < lowest) lowest = logit;
  }
  return { highest, scale: highest > lowest ? (BUCKETS - 1) / (highest - lowest) : 0 };
}
