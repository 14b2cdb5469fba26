import type { AnswerShape } from './answer-shape.js';
import type { TokenReports } from './token-reports.js';

/** Answers of `POST /v1/chat/completions`. */
export const CHAT_SHAPE: AnswerShape = {
  idPrefix: 'chatcmpl-',
  wholeObject: 'chat.completion',
  chunkObject: 'chat.completion.chunk',
  promptIds: 'answer',
  whole: ({ index, text, reports, ids, finish, stopReason }, { logprobs, tokenIds }) => ({
    index,
    message: { role: 'assistant', content: text, refusal: null },
    logprobs: logprobs ? logprobsOf(reports) : null,
    finish_reason: finish,
    stop_reason: stopReason,
    ...(tokenIds ? { token_ids: ids } : {}),
  }),
  chunk: ({ index, text, reports, ids, finish, stopReason }, { logprobs, tokenIds }, first) => ({
    index,
    delta: { ...(first ? { role: 'assistant' } : {}), ...(first || text !== '' ? { content: text } : {}) },
    logprobs: logprobs && reports.length > 0 ? logprobsOf(reports) : null,
    finish_reason: finish,
    ...(finish === null ? {} : { stop_reason: stopReason }),
    ...(tokenIds ? { token_ids: ids } : {}),
  }),
};

function logprobsOf(reports: TokenReports) {
  return {
    content: reports.mapLazily(({ text, bytes, logprob, top }) => ({
      token: text,
      logprob,
      bytes,
      top_logprobs: top.map((other) => ({ token: other.text, logprob: other.logprob, bytes: other.bytes })),
    })),
    refusal: null,
  };
}
