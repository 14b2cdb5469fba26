import type { AnswerShape } from './answer-shape.js';
import type { TokenReports } from './token-reports.js';

/** Answers of `POST /v1/chat/completions`. */
export const CHAT_SHAPE: AnswerShape = {
  idPrefix: 'chatcmpl-',
  wholeObject: 'chat.completion',
  chunkObject: 'chat.completion.chunk',
  whole: ({ index, text, reports, finish }, logprobs) => ({
    index,
    message: { role: 'assistant', content: text, refusal: null },
    logprobs: logprobs ? logprobsOf(reports) : null,
    finish_reason: finish,
  }),
  chunk: ({ index, text, reports, finish }, logprobs, first) => ({
    index,
    delta: { ...(first ? { role: 'assistant' } : {}), ...(first || text !== '' ? { content: text } : {}) },
    logprobs: logprobs && reports.length > 0 ? logprobsOf(reports) : null,
    finish_reason: finish,
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
