import { z } from 'zod';
import { PROGRAM_EDGES } from '../core/constraint/program.js';
import * as limits from '../limits.js';
import { AdapterRef } from './adapter.js';
import { packed } from './bytes.js';

/**
 * A request to a worker, and the stream of events it answers with. Token ids are packed as little-endian uint32. Keys of blocks do not travel:
 * the worker computes them from the tokens, since it could not trust any others.
 */

/** A tenant's salt: the name that a client gave, and what binds it to the client's key. @internal exported for tests. */
export const SALT_CHARS = 2 * limits.CLIENT_NAME_CHARS;
/** Layers with which one prompt may begin. */
const SALT_LAYERS = 4;

const Layer = z.strictObject({ salt: z.string().max(SALT_CHARS), blocks: z.int().min(1).max(limits.PROMPT_TOKENS) });

/** A `Salt` in a message. */
export const SaltField = z.union([
  z.string().max(SALT_CHARS),
  z.strictObject({
    own: z.string().max(SALT_CHARS),
    layers: z.array(Layer).min(1).max(SALT_LAYERS).refine(ascends).readonly(),
  }),
]);

function ascends(layers: readonly { readonly blocks: number }[]): boolean {
  return layers.every(({ blocks }, i) => i === 0 || blocks > layers[i - 1]!.blocks);
}

export const Sampling = z.strictObject({
  /** 0 is greedy. */
  temperature: z.number().min(0).max(2),
  /** 0 is off. */
  topK: z.int().min(0),
  topP: z.number().gt(0).max(1),
  minP: z.number().min(0).max(1),
  /** Seed of the counter-based generator, which is keyed by (seed, position). */
  seed: z.int().min(0).max(Number.MAX_SAFE_INTEGER),
  presencePenalty: z.number().min(-2).max(2),
  frequencyPenalty: z.number().min(-2).max(2),
  /** 1 is off; a value over 1 makes tokens of the prompt and the answer less likely. */
  repetitionPenalty: z.number().min(limits.LEAST_REPETITION_PENALTY).max(10),
  logitBias: z.array(z.tuple([z.int().min(0), z.number().min(-100).max(100)])).max(limits.LOGIT_BIAS_ENTRIES),
  /** Alternatives for each token; null is off, 0 gives only the log-probability of the chosen token. */
  logprobs: z.int().min(0).max(limits.LOGPROBS).nullable(),
  /** Also give log-probabilities of the prompt's tokens (`echo`). The whole prompt is then computed, even if it is cached. */
  promptLogprobs: z.boolean(),
  /** The prompt's tokens have so many alternatives, and ranks. Absent: as many as `logprobs` says, without ranks. */
  promptAlternatives: z.int().min(0).max(limits.LOGPROBS).optional(),
  /** The alternatives, in place of the most likely tokens; `logprobs` is their number. */
  logprobTokens: z.array(z.int().min(0)).min(1).max(limits.LOGPROBS).optional(),
  /** The only tokens that may be chosen, end tokens included. uint32[]. Absent for all. */
  allowed: packed(4, limits.ALLOWED_TOKEN_IDS).optional(),
  /** Runs of tokens that the answer may not have. */
  banned: z
    .array(z.array(z.int().min(0)).min(1).max(limits.BANNED_TOKENS))
    .max(limits.BANNED_TOKENS)
    .optional(),
  /** The program of the texts that the answer may be. uint16[], four for each edge. Absent for any text. */
  constraint: packed(8, PROGRAM_EDGES).optional(),
});
export type Sampling = z.infer<typeof Sampling>;

/** Always takes the most likely token. */
export const GREEDY: Sampling = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  seed: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: [],
  logprobs: null,
  promptLogprobs: false,
};

export const Stopping = z.strictObject({
  maxTokens: z.int().min(0),
  minTokens: z.int().min(0),
  tokenIds: z.array(z.int().min(0)).max(limits.STOP_TOKEN_IDS),
  ignoreEos: z.boolean(),
});
export type Stopping = z.infer<typeof Stopping>;

/** A tenant, and its weight against others, as `src/core/fair-shares` has them. */
export const TenantField = z.strictObject({ name: z.string().min(1).max(128), weight: z.number().min(1).max(1_000) });

export const GenerateRequest = z.strictObject({
  requestId: z.string().max(128),
  fingerprint: z.string().length(64),
  /** The prompt, then `resumeTokens` tokens that earlier attempts generated. uint32[]. */
  tokens: packed(4, limits.PROMPT_TOKENS),
  resumeTokens: z.int().min(0),
  /** Salt of the keys of its blocks, including the answer's; empty for none. */
  salt: SaltField,
  /** The adapter with which the model runs. Absent for none. */
  adapter: AdapterRef.optional(),
  /** The tenant for fair sharing of the worker's time. Absent for a request without a key. */
  tenant: TenantField.optional(),
  sources: z.array(z.strictObject({ worker: z.string().max(128), blocks: z.int().min(0) })).max(16),
  sampling: Sampling,
  stopping: Stopping,
  /** The answer is only seen whole, and its text cannot end it: after the first token, tokens may come in events of `BURST_TOKENS`. */
  bursts: z.boolean().optional(),
});
export type GenerateRequest = z.infer<typeof GenerateRequest>;

/** Log-probability of a token, and the alternatives at its position as `[token id, log-probability]`, most likely first. */
export const TokenLogprobs = z.strictObject({
  logprob: z.number(),
  /** Its place among all tokens, the most likely first. Only with `promptAlternatives`. */
  rank: z.int().min(1).optional(),
  top: z.array(z.tuple([z.int(), z.number()])),
});
export type TokenLogprobs = z.infer<typeof TokenLogprobs>;

export const GenerateEvent = z.discriminatedUnion('type', [
  /** Sent when the cached prefix is in place, before the prefill. `cached` is in tokens. */
  z.strictObject({
    type: z.literal('start'),
    cached: z.strictObject({ local: z.int(), remote: z.int(), computed: z.int() }),
    queueMs: z.number(),
  }),
  /**
   * Log-probabilities of the next tokens of the prompt, if requested; null for the first token. Consecutive events cover the prompt in order,
   * all before the first `tokens`.
   */
  z.strictObject({ type: z.literal('prompt'), logprobs: z.array(TokenLogprobs.nullable()) }),
  z.strictObject({ type: z.literal('tokens'), ids: z.array(z.int()), logprobs: z.array(TokenLogprobs).optional() }),
  /** The last event. `token` is the stop token, which no `tokens` event contains. */
  z.strictObject({ type: z.literal('end'), reason: z.enum(['stop', 'length']), token: z.int().nullable() }),
]);
export type GenerateEvent = z.infer<typeof GenerateEvent>;

/** Packs token ids as little-endian uint32. */
export function packTokens(ids: ArrayLike<number>): Uint8Array {
  return new Uint8Array(Uint32Array.from(ids).buffer);
}

/** Unpacks token ids. Copies, because the bytes may not be aligned. */
export function unpackTokens(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.slice().buffer);
}
