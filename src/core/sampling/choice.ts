import { InternalError } from '../../errors.js';
import { Ranking } from './ranking.js';

/** What of a token's distribution may be drawn. */
export interface ChoiceSettings {
  /** 0 takes the most likely token. */
  readonly temperature: number;
  /** The k most likely; 0 is off. */
  readonly topK: number;
  /** The fewest most likely tokens whose probabilities sum to at least this; 1 is off. */
  readonly topP: number;
  /** Tokens at least this times as likely as the most likely one; 0 is off. */
  readonly minP: number;
}

/** Memory that all sequences of an engine use in turn, for one token each. */
export class SamplingScratch {
  readonly logits: Float32Array;
  readonly weights: Float64Array;
  readonly ids: Int32Array;
  constructor(readonly vocab: number) {
    this.logits = new Float32Array(vocab);
    this.weights = new Float64Array(vocab);
    this.ids = new Int32Array(vocab);
  }
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
  settings: ChoiceSettings,
  uniform: number,
  scratch: SamplingScratch,
): number {
  const best = argmax(logits);
  if (settings.temperature === 0) return best;
  const { weights, ids } = scratch;
  const highest = logits[best]!;
  let count = 0;
  let total = 0;
  for (let id = 0; id < logits.length; id++) {
    const weight = Math.exp((logits[id]! - highest) / settings.temperature);
    weights[id] = weight;
    if (weight > 0 && weight >= settings.minP) {
      ids[count++] = id;
      total += weight;
    }
  }
  const kept = keep(logits, settings, total, count, scratch);
  if (kept.length < count) {
    kept.sort();
    total = 0;
    for (const id of kept) total += weights[id]!;
  }
  const target = uniform * total;
  let sum = 0;
  for (const id of kept) {
    sum += weights[id]!;
    if (sum > target) return id;
  }
  return kept.at(-1)!;
}

/** What top-k and top-p leave of the `count` ids in the scratch, whose weights sum to `total`. */
function keep(
  logits: Float32Array,
  { topK, topP }: ChoiceSettings,
  total: number,
  count: number,
  scratch: SamplingScratch,
): Int32Array {
  const { weights, ids } = scratch;
  const byCount = topK > 0 && topK < count;
  if (!byCount && topP >= 1) return ids.subarray(0, count);
  if (!byCount) {
    const candidates = dropTail(weights, ids, count, (total * (1 - topP)) / count / 2);
    const ranking = new Ranking(logits, ids, candidates);
    for (let sum = 0; ranking.left > 0 && (sum < topP * total || sum === 0); ) sum += weights[ranking.take()]!;
    return ranking.taken();
  }
  const ranking = new Ranking(logits, ids, count);
  let totalOfK = 0;
  for (let taken = 0; taken < topK; taken++) totalOfK += weights[ranking.take()]!;
  const ofK = ranking.taken();
  let first = ofK.length;
  for (let sum = 0; first > 0 && (sum < topP * totalOfK || sum === 0); ) sum += weights[ofK[--first]!]!;
  return topP >= 1 ? ofK : ofK.subarray(first);
}

/**
 * Tokens lighter than half the mean weight of what top-p leaves out cannot be in its set: all of them together weigh less than what it leaves
 * out. Dropping them first leaves a short ranking where the distribution is peaked.
 */
function dropTail(weights: Float64Array, ids: Int32Array, count: number, lightest: number): number {
  let left = 0;
  for (let i = 0; i < count; i++) {
    const id = ids[i]!;
    if (weights[id]! >= lightest) ids[left++] = id;
  }
  return left;
}
