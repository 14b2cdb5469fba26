import { Agent, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { eventsOf } from '../fleet/chunks.js';

/** One streamed completion, as a client of any server with OpenAI's completions sees it. */

export interface CompletionTarget {
  /** Of the server, without a path. */
  readonly url: URL;
  readonly model: string;
  /** API key; null for none. */
  readonly key: string | null;
}

export interface CompletionAsked {
  readonly prompt: readonly number[];
  readonly maxTokens: number;
  /** The worker that is to answer; null for any. */
  readonly worker: string | null;
}

/** A completion that came to its end. Times by `performance.now()`. */
export interface ServedCompletion {
  /** Of each piece of text. */
  readonly chunksMs: readonly number[];
  readonly endMs: number;
  readonly promptTokens: number;
  readonly answerTokens: number;
  /** Prompt tokens from a cache, as the server tells. */
  readonly cachedTokens: number;
  /** Of these, tokens that came from another worker; null for a server that does not tell. */
  readonly remoteTokens: number | null;
}

interface Piece {
  readonly choices?: readonly { readonly text?: string }[];
  readonly usage?: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
  } | null;
  readonly shoal?: { readonly cached?: { readonly remote: number } };
  readonly error?: { readonly message: string };
}

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

/** Rejects with the server's error, or with the connection's. */
export async function complete(
  target: CompletionTarget,
  { prompt, maxTokens, worker }: CompletionAsked,
): Promise<ServedCompletion> {
  const body = JSON.stringify({
    model: target.model,
    prompt,
    max_tokens: maxTokens,
    temperature: 0,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true },
  });
  const response = await post(target, body, worker);
  if (response.statusCode !== 200) throw new Error(`${response.statusCode}: ${await text(response)}`);
  const chunksMs: number[] = [];
  let usage: Piece['usage'] = null;
  let remoteTokens: number | null = null;
  for await (const data of eventsOf(response)) {
    const piece = JSON.parse(data) as Piece;
    if (piece.error) throw new Error(piece.error.message);
    if (piece.choices?.some((choice) => choice.text)) chunksMs.push(performance.now());
    usage = piece.usage ?? usage;
    remoteTokens = piece.shoal?.cached?.remote ?? remoteTokens;
  }
  const endMs = performance.now();
  if (!usage) throw new Error('the stream ended without its usage');
  if (chunksMs.length === 0) chunksMs.push(endMs);
  const cachedTokens = usage.prompt_tokens_details?.cached_tokens ?? 0;
  const counts = { promptTokens: usage.prompt_tokens, answerTokens: usage.completion_tokens, cachedTokens };
  return { chunksMs, endMs, ...counts, remoteTokens };
}

function post({ url, key }: CompletionTarget, body: string, worker: string | null): Promise<IncomingMessage> {
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...(worker === null ? {} : { 'x-shoal-worker': worker }),
    ...(key === null ? {} : { authorization: `Bearer ${key}` }),
  };
  return new Promise((resolve, reject) => {
    request(new URL('/v1/completions', url), { method: 'POST', agent, headers }, resolve).on('error', reject).end(body);
  });
}
