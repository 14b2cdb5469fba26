import type { AnswerShape } from './answer-shape.js';
import type { CallPiece } from './message/message-pieces.js';
import type { WholeCall } from './message/whole-call.js';
import type { TokenReports } from './token-reports.js';

/** Answers of `POST /v1/chat/completions`. */
export const CHAT_SHAPE: AnswerShape = {
  idPrefix: 'chatcmpl-',
  wholeObject: 'chat.completion',
  chunkObject: 'chat.completion.chunk',
  promptParts: 'answer',
  whole: ({ index, text, reasoning, calls, reports, ids, finish, stopReason }, { logprobs, tokenIds }) => ({
    index,
    message: {
      role: 'assistant',
      content: text === '' && calls.length > 0 ? null : text,
      refusal: null,
      ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
      ...(calls.length === 0 ? {} : { tool_calls: calls.map(wholeCall) }),
    },
    logprobs: logprobs ? logprobsOf(reports) : null,
    finish_reason: finish,
    stop_reason: stopReason,
    ...(tokenIds ? { token_ids: ids } : {}),
  }),
  chunk: ({ index, text, reasoning, calls, reports, ids, finish, stopReason }, { logprobs, tokenIds }, first) => ({
    index,
    delta: {
      ...(first ? { role: 'assistant', content: calls.length > 0 || reasoning !== '' ? null : '' } : {}),
      ...(text === '' ? {} : { content: text }),
      ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
      ...callPieces(calls),
    },
    logprobs: logprobs && reports.length > 0 ? logprobsOf(reports) : null,
    finish_reason: finish,
    ...(finish === null ? {} : { stop_reason: stopReason }),
    ...(tokenIds ? { token_ids: ids } : {}),
  }),
};

function wholeCall({ id, name, arguments: json }: WholeCall) {
  return { id, type: 'function', function: { name, arguments: json } };
}

function callPieces(calls: readonly CallPiece[]) {
  const pieces: CallPiece[] = [];
  for (const piece of calls) {
    // A call that was given and is none cannot be taken back.
    if (piece.isNone) continue;
    // Clients expect a call once in a chunk: some read the first item alone.
    const last = pieces.at(-1);
    if (last?.index !== piece.index) pieces.push(piece);
    else pieces[pieces.length - 1] = { ...last, arguments: last.arguments + piece.arguments };
  }
  return pieces.length === 0 ? {} : { tool_calls: pieces.map(callPiece) };
}

function callPiece({ index, id, name, arguments: piece }: CallPiece) {
  const begin = id === undefined ? {} : { id, type: 'function' };
  return { index, ...begin, function: { ...(name === undefined ? {} : { name }), arguments: piece } };
}

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
