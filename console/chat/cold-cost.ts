import type { AnswerCost } from './stream-answer.js';

/** What an answer would have cost if no worker had known its prompt. Pure. */

export interface ColdCost {
  /** Time to the first token. */
  readonly ms: number;
  /** Whether an answer to the same prompt was computed from nothing; else it is an estimate. */
  readonly measured: boolean;
}

/**
 * The cost without K/V: of an earlier answer to the same prompt if that was computed whole, else estimated from the worker's measured rate.
 * Null if the answer itself was computed whole, and if there is neither.
 * @param earlier the answers to the same prompt before
 * @param msPerToken the measured time in which the worker computes a token of a prompt; null if it is not known
 */
export function coldCost(cost: AnswerCost, earlier: readonly AnswerCost[], msPerToken: number | null): ColdCost | null {
  const { local, remote, computed } = cost.cached;
  if (local + remote === 0) return null;
  const cold = earlier.findLast(({ cached }) => cached.local + cached.remote === 0);
  if (cold !== undefined) return { ms: cold.ttft_ms, measured: true };
  if (msPerToken === null) return null;
  return { ms: cost.queue_ms + (local + remote + computed) * msPerToken, measured: false };
}

/** The comparison as a sentence. */
export function coldSentence(
  { cached, ttft_ms: ttft }: AnswerCost,
  { ms, measured }: ColdCost,
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
    : `Estimate: to compute all ${tokens.toLocaleString('en')} tokens at this worker’s measured rate would take`;
  return `${how} ${timeText(ms)}${ratio}.`;
}
