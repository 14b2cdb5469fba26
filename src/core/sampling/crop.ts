import { Ranking } from './ranking.js';
import { SamplingScratch } from './scratch.js';

const BUCKETS = SamplingScratch.BUCKETS;

/**
 * Leaves the fewest of the candidates `scratch.ids[0, count)` that, taken by highest logit and then lowest id, come up to `limit` in number or in
 * weight; they stay in ascending order. Nothing is sorted: a histogram over the logits tells in which bucket the limit is reached, and only that
 * one is ranked.
 * @param limit over 0
 * @returns how many are left
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
    last = ranking.take();
    sum += by === 'count' ? 1 : weights[last]!;
  }
  return last < 0 ? count : keepUpTo(logits, ids, count, last);
}

/** Keeps the candidates that are not ranked after `last`. */
function keepUpTo(logits: Float32Array, ids: Int32Array, count: number, last: number): number {
  const lowest = logits[last]!;
  let left = 0;
  for (let i = 0; i < count; i++) {
    const id = ids[i]!;
    if (logits[id]! > lowest || (logits[id] === lowest && id <= last)) ids[left++] = id;
  }
  return left;
}

/** The scale puts every logit into a bucket, the highest into bucket 0. */
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
