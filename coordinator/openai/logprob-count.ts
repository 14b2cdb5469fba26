import { InvalidRequest } from '../../src/errors.js';
import type { FleetRequest } from '../fleet.js';

/** Counts the log-probabilities of an answer and checks them against the limit. */

/** Limit on the log-probabilities in one answer: over all choices, of each token and its alternatives, prompts included. */
export const ANSWER_LOGPROBS = 512 * 1024;

/** Log-probabilities of a prompt: one for each token and for each of its alternatives. 0 if not requested. */
export function promptLogprobs({ tokens, sampling }: FleetRequest): number {
  return sampling.promptLogprobs ? tokens.length * perToken(sampling.promptAlternatives ?? sampling.logprobs) : 0;
}

/** How many tokens each of `choices` may generate before the answer exceeds `ANSWER_LOGPROBS`. */
export function reportableTokens(logprobs: number | null, choices: number): number {
  return logprobs === null ? Number.POSITIVE_INFINITY : Math.floor(ANSWER_LOGPROBS / choices / perToken(logprobs));
}

/**
 * Throws `InvalidRequest` if the answer could exceed `ANSWER_LOGPROBS`. Log-probabilities of tokens generated in a stream do not count, because
 * they are not accumulated. `param` and `others` are the fields that determine the number.
 */
export function checkLogprobs(
  requests: readonly FleetRequest[],
  kind: 'whole' | 'stream',
  param: string,
  others: readonly string[],
): void {
  const generated = kind === 'whole' ? generatedLogprobs : () => 0;
  const most = requests.reduce((sum, request) => sum + promptLogprobs(request) + generated(request), 0);
  if (most <= ANSWER_LOGPROBS) return;
  throw new InvalidRequest(
    `${param}: would allow ${most} log-probabilities over all choices; must be at most ${ANSWER_LOGPROBS}; adjust ${[param, ...others].join(', ')}`,
    param,
  );
}

/** An upper bound: the sequence may stop early. */
function generatedLogprobs({ sampling, stopping }: FleetRequest): number {
  return sampling.logprobs === null ? 0 : stopping.maxTokens * perToken(sampling.logprobs);
}

/** One for the token itself and one for each alternative. */
function perToken(alternatives: number | null): number {
  return 1 + (alternatives ?? 0);
}
