import type { AnswerShape } from './answer-shape.js';
import type { TokenReport } from './token-report.js';
import type { TokenReports } from './token-reports.js';

/** Answers of `POST /v1/completions`. */
export const COMPLETION_SHAPE: AnswerShape = {
  idPrefix: 'cmpl-',
  wholeObject: 'text_completion',
  chunkObject: 'text_completion',
  promptParts: 'choice',
  whole: ({ index, text, reports, ids, finish, stopReason }, { logprobs, tokenIds }) => ({
    index,
    text,
    logprobs: logprobs ? logprobsOf(reports) : null,
    finish_reason: finish,
    stop_reason: stopReason,
    ...(tokenIds ? { token_ids: ids } : {}),
  }),
  chunk: ({ index, text, reports, ids, finish, stopReason }, { logprobs, tokenIds }) => ({
    index,
    text,
    logprobs: logprobs && reports.length > 0 ? logprobsOf(reports) : null,
    finish_reason: finish,
    ...(finish === null ? {} : { stop_reason: stopReason }),
    ...(tokenIds ? { token_ids: ids } : {}),
  }),
};

function logprobsOf(reports: TokenReports) {
  return {
    tokens: reports.map((index) => reports.token(index).text),
    token_logprobs: reports.map((index) => reports.logprob(index)),
    top_logprobs: reports.mapLazily(topOf),
    text_offset: reports.map((index) => reports.offset(index)),
  };
}

/** Log-probability by token text: the most likely tokens and the chosen one. If two tokens share a text, the more likely one counts. */
function topOf({ text, logprob, top }: TokenReport): Record<string, number> | null {
  if (logprob === null) return null;
  const entries = new Map<string, number>();
  for (const other of [...top, { text, logprob }]) {
    if (!entries.has(other.text)) entries.set(other.text, other.logprob);
  }
  return Object.fromEntries(entries);
}
