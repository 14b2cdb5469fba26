import { hash } from 'node:crypto';
import { InvalidRequest } from '../errors.js';
import { BLOCK_TOKENS, SEGMENT_BLOCKS } from '../limits.js';
import type { BlockKey, BlockMeta } from './block.js';

/** Keys of blocks: their computation and their packed form. `docs/KEYS.md` specifies both, byte by byte. */

/** The size of a packed key. */
export const KEY_BYTES = 32;

const FIRST_TAG = 'shoal/block/first/1';
const NEXT_TAG = 'shoal/block/next/1';

/** The inputs of a prompt's keys besides its tokens. Equal tokens under different roots have different keys. */
export interface KeyRoot {
  /** The fleet's fingerprint, 64 hex digits. */
  readonly fingerprint: string;
  /** The name of the model's adapter; empty for none. */
  readonly adapter: string;
  /** Separates tenants; empty for none. */
  readonly salt: string;
}

/** The encoded fields that precede the tokens in the hash of a first block. */
export type KeySeed = Uint8Array & { readonly keySeed: true };

/** Encodes a root. The result may be reused for any number of prompts. */
export function rootSeed(root: KeyRoot): KeySeed {
  const fields = [FIRST_TAG, root.fingerprint, root.adapter, root.salt].map((field) => Buffer.from(field, 'utf8'));
  return Buffer.concat(fields.flatMap((field) => [lengthPrefix(field.length), field])) as Uint8Array as KeySeed;
}

/** Computes the keys of all full blocks of a prompt, in order. A partial block at the end has no key. */
export function blockKeys(tokens: Uint32Array, seed: KeySeed, blockTokens = BLOCK_TOKENS): BlockMeta[] {
  const blocks: BlockMeta[] = [];
  for (let end = blockTokens; end <= tokens.length; end += blockTokens) {
    const own = tokens.subarray(end - blockTokens, end);
    const previous = blocks.at(-1);
    blocks.push(previous === undefined ? firstBlock(seed, own) : nextBlock(previous, own));
  }
  return blocks;
}

/** Computes the key of the first block of a prompt. `tokens` are exactly the block's tokens. */
export function firstBlock(seed: KeySeed, tokens: ArrayLike<number>): BlockMeta {
  const bytes = Buffer.allocUnsafe(seed.length + 4 + 4 * tokens.length);
  bytes.set(seed);
  writeTokens(bytes, seed.length, tokens);
  const key = hash('sha256', bytes, 'hex');
  return { key, parent: null, index: 0, segment: key };
}

/** Computes the key of the block after `previous`. `tokens` are exactly the new block's tokens. */
export function nextBlock(previous: BlockMeta, tokens: ArrayLike<number>): BlockMeta {
  return metaAfter(previous, nextBlockKey(previous.key, tokens));
}

/** The key of the block with these tokens after the block `parent`. */
export function nextBlockKey(parent: BlockKey, tokens: ArrayLike<number>): BlockKey {
  const bytes = Buffer.allocUnsafe(NEXT_PREFIX.length + KEY_BYTES + 4 + 4 * tokens.length);
  bytes.set(NEXT_PREFIX);
  const written = bytes.write(parent, NEXT_PREFIX.length, 'hex');
  if (written !== KEY_BYTES)
    throw new InvalidRequest(`keys: the key of a parent block must be ${KEY_BYTES} bytes in hex`, 'keys');
  writeTokens(bytes, NEXT_PREFIX.length + KEY_BYTES, tokens);
  return hash('sha256', bytes, 'hex');
}

/** Packs keys for the wire, `KEY_BYTES` each. */
export function packKeys(keys: readonly BlockKey[]): Uint8Array {
  const bytes = Buffer.alloc(keys.length * KEY_BYTES);
  keys.forEach((key, i) => {
    if (bytes.write(key, i * KEY_BYTES, 'hex') !== KEY_BYTES || key.length !== 2 * KEY_BYTES) {
      throw new InvalidRequest(`keys: key ${i} must be ${KEY_BYTES} bytes in hex`, 'keys');
    }
  });
  return bytes;
}

/** Unpacks keys. Throws `InvalidRequest` if the last key is incomplete. */
export function unpackKeys(packed: Uint8Array): BlockKey[] {
  if (packed.byteLength % KEY_BYTES !== 0) {
    throw new InvalidRequest(`keys: ${packed.byteLength} bytes are not a multiple of ${KEY_BYTES} bytes`, 'keys');
  }
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  return Array.from({ length: bytes.length / KEY_BYTES }, (_, i) =>
    bytes.toString('hex', KEY_BYTES * i, KEY_BYTES * (i + 1)),
  );
}

function metaAfter(previous: BlockMeta, key: BlockKey): BlockMeta {
  const index = previous.index + 1;
  return { key, parent: previous.key, index, segment: index % SEGMENT_BLOCKS === 0 ? key : previous.segment };
}

function lengthPrefix(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(length);
  return bytes;
}

const NEXT_PREFIX = Buffer.concat([lengthPrefix(NEXT_TAG.length), Buffer.from(NEXT_TAG), lengthPrefix(KEY_BYTES)]);

function writeTokens(bytes: Buffer, offset: number, tokens: ArrayLike<number>): void {
  bytes.writeUInt32LE(4 * tokens.length, offset);
  for (let i = 0; i < tokens.length; i++) bytes.writeUInt32LE(tokens[i]!, offset + 4 + 4 * i);
}
