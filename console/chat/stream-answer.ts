import type { TokensBySource } from '../../src/console/feed-messages.js';
import type { Api } from '../session/api.js';

/** Asks for an answer and reads its stream. */

export interface ChatQuestion {
  readonly path: '/v1/completions' | '/v1/chat/completions';
  readonly body: Readonly<Record<string, unknown>>;
  /** The worker that has to answer; null for any. */
  readonly worker: string | null;
  /** Its `x-request-id`, by which the feed knows it. */
  readonly request: string;
}

/** The cost of an answer. */
export interface AnswerCost {
  readonly worker: string;
  readonly cached: TokensBySource;
  readonly ttft_ms: number;
  readonly queue_ms: number;
}

/** The cost of an answer, and its length. */
export interface AnswerEnd extends AnswerCost {
  /** Of the answer. */
  readonly tokens: number;
}

interface Chunk {
  readonly choices?: readonly { readonly text?: string; readonly delta?: { readonly content?: string | null } }[];
  readonly shoal?: AnswerCost;
  readonly usage?: { readonly completion_tokens: number } | null;
  readonly error?: { readonly message: string };
}

/** Sends the question. `onText` gets each piece of the answer. Resolves with its end; rejects if the coordinator refuses or breaks off. */
export async function streamAnswer(
  api: Api,
  { path, body, worker, request }: ChatQuestion,
  signal: AbortSignal,
  onText: (piece: string) => void,
): Promise<AnswerEnd | null> {
  const headers = { 'x-request-id': request, ...(worker === null ? {} : { 'x-shoal-worker': worker }) };
  let end: AnswerEnd | null = null;
  for await (const data of api.events(path, { body: streamedBody(body), headers, signal })) {
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error !== undefined) throw new Error(chunk.error.message);
    const choice = chunk.choices?.[0];
    const piece = choice?.text ?? choice?.delta?.content ?? '';
    if (piece !== '') onText(piece);
    if (chunk.shoal !== undefined) end = { ...chunk.shoal, tokens: chunk.usage?.completion_tokens ?? 0 };
  }
  return end;
}

/** The body that is sent. */
export function streamedBody(body: ChatQuestion['body']): Record<string, unknown> {
  return { ...body, stream: true, stream_options: { include_usage: true } };
}

/** A name for the next request. */
export function newRequestId(): string {
  return `console-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`;
}
