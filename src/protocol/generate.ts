import { z } from 'zod';
import * as limits from '../limits.js';
import { packed } from './bytes.js';

/** A tenant's salt: the name that a client gave, and what binds it to the client's key. @internal exported for tests. */
export const SALT_CHARS = 2 * limits.CLIENT_NAME_CHARS;

/**
 * The one message of a request to a worker, and the one stream back. Token ids travel as little-endian uint32, one after another. Keys of
 * blocks do not travel: the worker computes them from the tokens, as it could not trust others.
 */

export const Sampling = z.strictObject({
  /** 0 is greedy. */
  temperature: z.number().min(0).max(2),
  /** 0 is off. */
  topK: z.int().min(0),
  topP: z.number().gt(0).max(1),
  minP: z.number().min(0).max(1),
  /** Of the counter-based generator, which is keyed by (seed, position). */
  seed: z.int().min(0).max(Number.MAX_SAFE_INTEGER),
  presencePenalty: z.number().min(-2).max(2),
  frequencyPenalty: z.number().min(-2).max(2),
  /** 1 is off; over 1 makes tokens of prompt and answer less likely. */
  repetitionPenalty: z.number().gt(0).max(10),
  logitBias: z.array(z.tuple([z.int().min(0), z.number().min(-100).max(100)])).max(limits.LOGIT_BIAS_ENTRIES),
  /** Alternatives a token; null is off, 0 is the chosen token's own log-probability alone. */
  logprobs: z.int().min(0).max(limits.LOGPROBS).nullable(),
  /** Log-probabilities of the prompt's own tokens too (`echo`). The prompt is then computed whole, whatever is cached. */
  promptLogprobs: z.boolean(),
});
export type Sampling = z.infer<typeof Sampling>;

export const Stopping = z.strictObject({
  maxTokens: z.int().min(0),
  minTokens: z.int().min(0),
  tokenIds: z.array(z.int().min(0)).max(limits.STOP_TOKEN_IDS),
  ignoreEos: z.boolean(),
});
export type Stopping = z.infer<typeof Stopping>;

export const GenerateRequest = z.strictObject({
  requestId: z.string().max(128),
  fingerprint: z.string().length(64),
  /** Prompt, then what was generated before on another worker (`resumeTokens` of them). uint32[]. */
  tokens: packed(4, limits.PROMPT_TOKENS),
  resumeTokens: z.int().min(0),
  /** What the keys of its blocks hang on beside fingerprint and tokens: empty for none. The answer's blocks are named with it too. */
  salt: z.string().max(SALT_CHARS),
  sources: z.array(z.strictObject({ worker: z.string().max(128), blocks: z.int().min(0) })).max(16),
  sampling: Sampling,
  stopping: Stopping,
});
export type GenerateRequest = z.infer<typeof GenerateRequest>;

/** A token's log-probability and the most likely ones at its place, `[token id, log-probability]`, most likely first. */
export const TokenLogprobs = z.strictObject({
  logprob: z.number(),
  top: z.array(z.tuple([z.int(), z.number()])),
});
export type TokenLogprobs = z.infer<typeof TokenLogprobs>;

export const GenerateEvent = z.discriminatedUnion('type', [
  /** Sent when the prefix is in place, before anything is computed. In tokens and milliseconds. */
  z.strictObject({
    type: z.literal('start'),
    cached: z.strictObject({ local: z.int(), remote: z.int(), computed: z.int() }),
    queueMs: z.number(),
  }),
  /**
   * Log-probabilities of the prompt's tokens, the first of which has none. Only where asked for. They come in several events, each of the tokens
   * after those of the one before it, and all of them before the first `tokens`.
   */
  z.strictObject({ type: z.literal('prompt'), logprobs: z.array(TokenLogprobs.nullable()) }),
  z.strictObject({ type: z.literal('tokens'), ids: z.array(z.int()), logprobs: z.array(TokenLogprobs).optional() }),
  /** The last event. `token` is the stop token, which is not among the tokens sent. */
  z.strictObject({ type: z.literal('end'), reason: z.enum(['stop', 'length']), token: z.int().nullable() }),
]);
export type GenerateEvent = z.infer<typeof GenerateEvent>;

/** Packs token ids. */
export function packTokens(ids: ArrayLike<number>): Uint8Array {
  return new Uint8Array(Uint32Array.from(ids).buffer);
}

/** Reads packed token ids, whatever the alignment of the bytes. */
export function unpackTokens(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.slice().buffer);
}
