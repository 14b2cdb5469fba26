import type { AnswerCost } from './stream-answer.js';

/** What an answer would have cost if no worker had known its prompt. Pure. */

export interface ColdCost {
  /** Time to the first token. */
  readonly ms: number;
  /** Whether an answer to the same prompt was computed from nothing; else it is an estimate. */
  readonly measured: boolean;
  /** Of an estimate: the worker whose measured rate it takes. */
  readonly rateOf?: string;
}

/** The measured time in which a worker computes a token of a prompt. */
export interface ComputeRate {
  readonly worker: string;
  readonly msPerToken: number;
}

/** The rate of the worker itself if it has measured one, else of the slowest other worker that has; null if none has. */
export function rateFor(
  worker: string,
  workers: Iterable<{ readonly id: string; readonly compute_ms_per_token: number | null }>,
): ComputeRate | null {
  const rates = [...workers].flatMap(({ id, compute_ms_per_token: msPerToken }) =>
    msPerToken === null ? [] : [{ worker: id, msPerToken }],
  );
  const slowest = rates.toSorted((a, b) => b.msPerToken - a.msPerToken)[0] ?? null;
  return rates.find((rate) => rate.worker === worker) ?? slowest;
}

/**
 * The cost without K/V: of an earlier answer to the same prompt if that was computed whole, else estimated from the worker's measured rate.
 * Null if the answer itself was computed whole, and if there is neither.
 * @param earlier the answers to the same prompt before
 * @param rate of `rateFor`
 */
export function coldCost(cost: AnswerCost, earlier: readonly AnswerCost[], rate: ComputeRate | null): ColdCost | null {
  const { local, remote, computed } = cost.cached;
  if (local + remote === 0) return null;
  const cold = earlier.findLast(({ cached }) => cached.local + cached.remote === 0);
  if (cold !== undefined) return { ms: cold.ttft_ms, measured: true };
  if (rate === null) return null;
  const ms = cost.queue_ms + (local + remote + computed) * rate.msPerToken;
  return { ms, measured: false, rateOf: rate.worker };
}

/** The comparison as a sentence. */
export function coldSentence(
  { worker, cached, ttft_ms: ttft }: AnswerCost,
  { ms, measured, rateOf }: ColdCost,
  timeText: (ms: number) => string,
): string {
  const tokens = cached.local + cached.remote + cached.computed;
  const times = ms / Math.max(ttft, 0.1);
  const ratio =
    times >= 1.05
      ? `, ${times < 10 ? times.toFixed(1) : Math.round(times)} times as long`
      : times > 0.95
        ? ', as long'
        : ', less';
  const how = measured
    ? 'An earlier answer to the same prompt, computed from nothing, took'
    : `Estimate: to compute all ${tokens.toLocaleString('en')} tokens at the measured rate of ${rateOf ?? worker} would take`;
  return `${how} ${timeText(ms)}${ratio}.`;
}
