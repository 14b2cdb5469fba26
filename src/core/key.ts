import { hash } from 'node:crypto';
import { InvalidRequest } from '../errors.js';
import { BLOCK_TOKENS, SEGMENT_BLOCKS } from '../limits.js';
import type { BlockKey, BlockMeta } from './block.js';

/** Names of blocks. `docs/KEYS.md` has the same, byte for byte, for other languages. */

/** Bytes of a packed key. */
export const KEY_BYTES = 32;

const FIRST_TAG = 'shoal/block/first/1';
const NEXT_TAG = 'shoal/block/next/1';

/** What all keys of a prompt depend on beside its tokens. Equal tokens under different roots share nothing. */
export interface KeyRoot {
  /** The fleet's, 64 hex digits. */
  readonly fingerprint: string;
  /** Name of the adapter the model runs with; empty for none. */
  readonly adapter: string;
  /** Separates tenants; empty for none. */
  readonly salt: string;
}

/** The fields of a first block's name that come before its tokens, encoded. */
export type KeySeed = Uint8Array & { readonly keySeed: true };

/** Prepares the naming of prompts under one root. May be kept and used again. */
export function rootSeed(root: KeyRoot): KeySeed {
  const fields = [FIRST_TAG, root.fingerprint, root.adapter, root.salt].map((field) => Buffer.from(field, 'utf8'));
  return Buffer.concat(fields.flatMap((field) => [lengthPrefix(field.length), field])) as Uint8Array as KeySeed;
}

/** Names all full blocks of a prompt, in order; what is left over at its end has no name yet. */
export function blockKeys(tokens: Uint32Array, seed: KeySeed, blockTokens = BLOCK_TOKENS): BlockMeta[] {
  const blocks: BlockMeta[] = [];
  for (let end = blockTokens; end <= tokens.length; end += blockTokens) {
    const own = tokens.subarray(end - blockTokens, end);
    const previous = blocks.at(-1);
    blocks.push(previous === undefined ? firstBlock(seed, own) : nextBlock(previous, own));
  }
  return blocks;
}

/** Names the first block of a prompt. `tokens` are all tokens of the block and no others. */
export function firstBlock(seed: KeySeed, tokens: ArrayLike<number>): BlockMeta {
  const bytes = Buffer.allocUnsafe(seed.length + 4 + 4 * tokens.length);
  bytes.set(seed);
  writeTokens(bytes, seed.length, tokens);
  const key = hash('sha256', bytes, 'hex');
  return { key, parent: null, index: 0, segment: key };
}

/** Names the block that follows another. `tokens` are all tokens of the new block and no others. */
export function nextBlock(previous: BlockMeta, tokens: ArrayLike<number>): BlockMeta {
  return placed(nextBlockKey(previous.key, tokens), previous);
}

/** Key of the block with these tokens after the prefix that `parent` names. */
export function nextBlockKey(parent: BlockKey, tokens: ArrayLike<number>): BlockKey {
  const bytes = Buffer.allocUnsafe(NEXT_PREFIX.length + KEY_BYTES + 4 + 4 * tokens.length);
  bytes.set(NEXT_PREFIX);
  const written = bytes.write(parent, NEXT_PREFIX.length, 'hex');
  if (written !== KEY_BYTES)
    throw new InvalidRequest(
      `cannot compute the key of a block: the key of its parent is not ${KEY_BYTES} bytes in hex`,
      'keys',
    );
  writeTokens(bytes, NEXT_PREFIX.length + KEY_BYTES, tokens);
  return hash('sha256', bytes, 'hex');
}

/** Keys one after another, `KEY_BYTES` each, as they travel. */
export function packKeys(keys: readonly BlockKey[]): Uint8Array {
  const bytes = Buffer.alloc(keys.length * KEY_BYTES);
  keys.forEach((key, i) => {
    if (bytes.write(key, i * KEY_BYTES, 'hex') !== KEY_BYTES || key.length !== 2 * KEY_BYTES) {
      throw new InvalidRequest(`cannot pack keys: key ${i} is not ${KEY_BYTES} bytes in hex`, 'keys');
    }
  });
  return bytes;
}

/** Reads packed keys. Throws `InvalidRequest` if there is a part of a key. */
export function unpackKeys(packed: Uint8Array): BlockKey[] {
  if (packed.byteLength % KEY_BYTES !== 0) {
    throw new InvalidRequest(
      `cannot unpack keys: ${packed.byteLength} bytes are not a multiple of ${KEY_BYTES}`,
      'keys',
    );
  }
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  return Array.from({ length: bytes.length / KEY_BYTES }, (_, i) =>
    bytes.toString('hex', KEY_BYTES * i, KEY_BYTES * (i + 1)),
  );
}

function placed(key: BlockKey, previous: BlockMeta): BlockMeta {
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
