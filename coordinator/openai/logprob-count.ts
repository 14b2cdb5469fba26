import { InvalidRequest } from '../../src/errors.js';
import type { FleetRequest } from '../fleet.js';

/** Log-probabilities in one answer: of all choices, a token's own and its alternatives', those of an echoed prompt among them. */
export const ANSWER_LOGPROBS = 512 * 1024;

/** Log-probabilities of an echoed prompt: for each of its tokens its own and its alternatives'. 0 where none are wanted. */
export function promptLogprobs({ tokens, sampling }: FleetRequest): number {
  return sampling.promptLogprobs ? tokens.length * perToken(sampling.logprobs) : 0;
}

/** Tokens that each of `choices` may generate before their log-probabilities are more than an answer may have. */
export function reportableTokens(logprobs: number | null, choices: number): number {
  return logprobs === null ? Number.POSITIVE_INFINITY : Math.floor(ANSWER_LOGPROBS / choices / perToken(logprobs));
}

/**
 * Throws `InvalidRequest` where an answer with these choices may have too many: of what a stream generates, none is kept. `param` and `others` are
 * the fields that ask for them.
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
    `${param}: the answer may have ${most} log-probabilities over all its choices, more than ${ANSWER_LOGPROBS}. Ask for less here, or by ${others.join(', ')}.`,
    param,
  );
}

/** At most. */
function generatedLogprobs({ sampling, stopping }: FleetRequest): number {
  return sampling.logprobs === null ? 0 : stopping.maxTokens * perToken(sampling.logprobs);
}

/** A token's own, and its alternatives'. */
function perToken(alternatives: number | null): number {
  return 1 + (alternatives ?? 0);
}
