import { Agent, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { eventsOf } from './fleet/chunks.js';
import type { RunningFleet } from './running-fleet.js';

/** Measures one streamed completion as a client sees it. */

/** The measurements of one completion. */
export interface Streamed {
  /** When the request was sent, by `performance.now()`. */
  readonly startMs: number;
  /** The time from sending the request to the first chunk with text. */
  readonly ttftMs: number;
  /** For each chunk with text, the time from sending the request to its arrival. */
  readonly chunkMs: readonly number[];
  readonly completionTokens: number;
  readonly worker: string;
  readonly cached: { readonly local: number; readonly remote: number; readonly computed: number };
  /** The time from the request's arrival at the coordinator to the first token. */
  readonly coordinatorMs: number;
  /** The time from the request's arrival at the worker until the prefix was in its slot. */
  readonly prefixMs: number;
}

interface Chunk {
  readonly choices: readonly { readonly text: string; readonly finish_reason: string | null }[];
  readonly usage?: { readonly completion_tokens: number } | null;
  readonly shoal?: {
    readonly worker: string;
    readonly cached: Streamed['cached'];
    readonly ttft_ms: number;
    readonly queue_ms: number;
  };
  readonly error?: { readonly message: string };
}

/** Options that differ between requests. */
export interface StreamedOptions {
  /** Additional fields of the request. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Called at each chunk with text. */
  readonly onChunk?: () => void;
  /** API key. */
  readonly key?: string;
  /** Ends the request, which then rejects. */
  readonly signal?: AbortSignal;
}

const agent = new Agent({ keepAlive: true });

/** Sends token ids and reads the stream. Throws if the stream ends with an error. */
export async function streamed(
  fleet: RunningFleet,
  prompt: readonly number[],
  maxTokens: number,
  worker: string,
  { fields, onChunk, key, signal }: StreamedOptions = {},
): Promise<Streamed> {
  const body = JSON.stringify({
    model: 'bench-90m',
    prompt,
    max_tokens: maxTokens,
    temperature: 0,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true },
    ...fields,
  });
  const startMs = performance.now();
  const response = await post(`${fleet.url}/v1/completions`, body, { worker, key, signal });
  if (response.statusCode !== 200)
    throw new Error(`the fleet answered ${response.statusCode}: ${await text(response)}`);
  const chunkMs: number[] = [];
  let last: Chunk | null = null;
  for await (const data of eventsOf(response)) {
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error) throw new Error(`the stream failed: ${chunk.error.message}`);
    // The last chunk often has no text.
    if (chunk.choices.some(({ text }) => text !== '' || chunkMs.length === 0)) {
      chunkMs.push(performance.now() - startMs);
      onChunk?.();
    }
    last = chunk;
  }
  if (!last?.usage || !last.shoal || chunkMs.length === 0) throw new Error('the stream ended without its usage');
  return {
    startMs,
    ttftMs: chunkMs[0]!,
    chunkMs,
    completionTokens: last.usage.completion_tokens,
    worker: last.shoal.worker,
    cached: last.shoal.cached,
    coordinatorMs: last.shoal.ttft_ms,
    prefixMs: last.shoal.queue_ms,
  };
}

interface Sender {
  readonly worker: string;
  readonly key: string | undefined;
  readonly signal: AbortSignal | undefined;
}

function post(url: string, body: string, { worker, key, signal }: Sender): Promise<IncomingMessage> {
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'x-shoal-worker': worker,
    ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
  };
  return new Promise((resolve, reject) => {
    request(url, { method: 'POST', agent, headers, signal }, resolve).on('error', reject).end(body);
  });
}
