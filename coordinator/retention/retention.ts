import { z } from 'zod';
import { KEY_BYTES, packKeys } from '../../src/core/key.js';
import { BLOCK_TOKENS } from '../../src/limits.js';
import { AdapterRef } from '../../src/protocol/adapter.js';
import { packed } from '../../src/protocol/bytes.js';
import { SaltField, TenantField } from '../../src/protocol/generate.js';
import { HOLDINGS_KEYS_PER_MESSAGE } from '../../src/protocol/holdings.js';

/** A retention: a client's order that the fleet keeps the blocks of a prompt. The HTTP API calls it a pin. */

/** Limit on the retentions of a fleet. */
export const RETENTIONS = 512;
/** Limit on the retentions of one API key, or of all clients together where no key is required. */
export const RETENTIONS_PER_KEY = 64;
/** Limit on the tokens that a fleet retains: the keys of their blocks fit one message to a worker. */
export const RETAINED_TOKENS = HOLDINGS_KEYS_PER_MESSAGE * BLOCK_TOKENS;
/** Limit on the tokens that are retained for one API key. */
export const RETAINED_TOKENS_PER_KEY = RETAINED_TOKENS / 4;
/** Largest part of a worker's device memory for blocks that new retentions may take. */
export const RETENTION_SHARE = 1 / 2;
/** Largest part that retained blocks may take once workers are gone and the blocks have other homes. */
export const RETENTION_SHARE_AFTER_LOSS = 3 / 4;
/** Time for which a prompt is retained, where a client asks for none. */
export const RETENTION_TTL_S = 3_600;
/** Longest time for which a prompt may be retained: 30 days. */
export const RETENTION_TTL_MAX_S = 30 * 24 * 3_600;

/** Longest reason why a prompt is not retained. */
export const RETENTION_REASON_CHARS = 512;

export const Retention = z.strictObject({
  id: z.string().min(1).max(64),
  /** Number of the value that has its token ids. */
  slot: z
    .int()
    .min(0)
    .max(RETENTIONS - 1),
  /** The tenant that ordered it; null if no API key is required. */
  owner: z.string().max(128).nullable(),
  /** The layer into which it publishes its blocks; null for none. */
  layer: z.string().max(128).nullable().default(null),
  tokens: z.int().min(BLOCK_TOKENS),
  blocks: z.int().min(1),
  /** Keys of its segments, which place its blocks on the ring. */
  segments: packed(KEY_BYTES, HOLDINGS_KEYS_PER_MESSAGE),
  /** Key of its last block, which names the prompt without the tokens after its last full block. */
  last: z.string().length(2 * KEY_BYTES),
  /** In milliseconds since 1970 by the clock of the store, as `expiresMs`. */
  createdMs: z.number(),
  expiresMs: z.number(),
  /** `settled` once all homes have had all blocks. `failed`: it cannot be computed, and is not tried again. */
  stage: z.enum(['pending', 'settled', 'failed']),
  /** Why it failed, or is not computed yet. */
  reason: z.string().max(RETENTION_REASON_CHARS).nullable(),
});
export type Retention = z.infer<typeof Retention>;

/** Characters of the name of a list's origin. */
export const ORIGIN_CHARS = 16;
/** Limit on the origins of a list; the oldest are dropped. */
export const ORIGINS = 8;

/** All retentions of a fleet, oldest first. */
export const RetentionList = z.strictObject({
  /** Each founding of a list has a random name. A list that lacks an origin was founded because the list with that origin was lost. */
  origins: z.array(z.string().length(ORIGIN_CHARS)).min(1).max(ORIGINS),
  retentions: z.array(Retention).max(RETENTIONS),
});
export type RetentionList = z.infer<typeof RetentionList>;

/** The prompt of a retention, from which its blocks are computed again. */
export const RetainedPrompt = z.strictObject({
  id: z.string().min(1).max(64),
  tokens: packed(4, RETAINED_TOKENS),
  salt: SaltField.nullable(),
  /** The tenant whose share of the workers' time it uses; null if no API key was required. */
  tenant: TenantField.nullable().default(null),
  /** The adapter with which it is computed. */
  adapter: AdapterRef.optional(),
});
export type RetainedPrompt = z.infer<typeof RetainedPrompt>;

/** Packs the keys of segments, one for each segment of a prompt. */
export function segmentsOf(blocks: readonly { readonly segment: string }[]): Uint8Array {
  return packKeys([...new Set(blocks.map(({ segment }) => segment))]);
}

/** The retentions that have not expired; all of them while the time is not known. */
export function presentAt(nowMs: number | null, all: readonly Retention[]): Retention[] {
  return all.filter(({ expiresMs }) => nowMs === null || expiresMs > nowMs);
}
