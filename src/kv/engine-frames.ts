import { createHmac } from 'node:crypto';
import { z } from 'zod';

/**
 * K/V that the fleet's engine computed, as it goes over HTTP (`/v1/cache/kv`, docs/KV.md): four bytes with the length of a head, the least significant
 * first; the head, which is JSON; the bytes of the blocks.
 */

/** The size of the length before a head. */
export const HEAD_LENGTH_BYTES = 4;
/** Limit on the bytes of a head: its token ids take the most. */
export const HEAD_BYTES = 8 * 2 ** 20;
/** The header with the code by which a writer proves that it is a member. */
export const MEMBER_HEADER = 'x-shoal-member';

const MAC_TAG = 'shoal/kv/write/1\0';

/** What the fleet has of a prefix: the answer of `POST /v1/cache/kv/find`, and the head of the answer of `POST /v1/cache/kv`. */
export const EnginePrefix = z.object({
  fingerprint: z.string(),
  /** Tokens of the prompt; null where the prefix was named by the key of its last block. */
  prompt_tokens: z.int().min(0).nullable(),
  /** Tokens, from the first one on, whose blocks the fleet has. */
  tokens: z.int().min(0),
  block_tokens: z.int().min(1),
  dtype: z.string(),
  /** The heads and the channels of a head, of K and of V of each layer. */
  shapes: z.array(z.tuple([z.int().min(1), z.int().min(1)])),
  /** Bytes of a block, with the states of layers without K/V. */
  block_bytes: z.int().min(1),
  /** The keys of the blocks of `tokens`. */
  keys: z.array(z.string()),
  /** The first layer that follows, and the one after the last; absent if no bytes follow. */
  layers: z.tuple([z.int().min(0), z.int().min(0)]).optional(),
});
export type EnginePrefix = z.infer<typeof EnginePrefix>;

/** The head of a write. */
export const EngineWriteHead = z.strictObject({
  /** The fingerprint of the fleet for which the K/V was computed. */
  fingerprint: z.string().length(64),
  /** The prompt, at least up to the end of the last block. */
  tokens: z.array(
    z
      .int()
      .min(0)
      .max(2 ** 32 - 1),
  ),
  cache_salt: z.string().max(256).optional(),
  /** The position of the first block that follows, in blocks, and how many follow. */
  first: z.int().min(0),
  blocks: z.int().min(1),
  /** SHA-256 of the bytes of all blocks, in hex. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type EngineWriteHead = z.infer<typeof EngineWriteHead>;

/** The length of a head, and the head. */
export function headFrame(head: object): Buffer {
  const text = Buffer.from(JSON.stringify(head));
  const frame = Buffer.allocUnsafe(HEAD_LENGTH_BYTES + text.byteLength);
  frame.writeUInt32LE(text.byteLength);
  frame.set(text, HEAD_LENGTH_BYTES);
  return frame;
}

/** The code by which a member vouches for the head of a write, in hex: only members know the secret. */
export function memberCode(secret: string, head: Uint8Array): string {
  return createHmac('sha256', secret).update(MAC_TAG).update(head).digest('hex');
}
