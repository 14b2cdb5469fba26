import { hash } from 'node:crypto';
import { InvalidRequest } from '../errors.js';
import { BLOCK_TOKENS, SEGMENT_BLOCKS } from '../limits.js';
import type { BlockKey, BlockMeta } from './block.js';
import { LABEL_BYTES, layersOf, ownSalt, type Salt, saltLabel } from './salt.js';

/** Keys of blocks: their computation and their packed form. `docs/KEYS.md` specifies both, byte by byte. */

/** The size of a packed key. */
export const KEY_BYTES = 32;

/** The bytes of a key that are a digest; the label of the salt follows. */
const DIGEST_BYTES = KEY_BYTES - LABEL_BYTES;

const FIRST_TAG = 'shoal/block/first/2';
const NEXT_TAG = 'shoal/block/next/2';
const LAYER_TAG = 'shoal/block/layer/2';

/** The inputs of a prompt's keys besides its tokens. Equal tokens under different roots have different keys. */
export interface KeyRoot {
  /** The fleet's fingerprint, 64 hex digits. */
  readonly fingerprint: string;
  /** The adapter, as `adapterOf` has it; empty for none. Layers apply only without an adapter: their blocks are not published under one. */
  readonly adapter: string;
  /** Separates tenants; empty for none. */
  readonly salt: Salt;
}

/** The encoded inputs of a prompt's block keys, besides its tokens. */
export interface KeySeed {
  /** The fields that precede the tokens of the first block. */
  readonly first: SaltBorder;
  /** The later blocks at which another salt begins, by index. */
  readonly borders: ReadonlyMap<number, SaltBorder>;
}

/** Where a salt begins. */
interface SaltBorder {
  /** Encoded fields of the block's digest. */
  readonly fields: Uint8Array;
  readonly label: string;
}

/** Encodes a root. The result may be reused for any number of prompts. */
export function rootSeed({ fingerprint, adapter, salt }: KeyRoot): KeySeed {
  const layers = adapter === '' ? layersOf(salt) : [];
  const salts = [...layers.map((layer) => layer.salt), ownSalt(salt)];
  const borderOf = (text: string, fields: readonly string[]) => ({
    fields: textFields(fields),
    label: saltLabel(text),
  });
  const borders = layers.map(({ blocks }, i): [number, SaltBorder] => [
    blocks,
    borderOf(salts[i + 1]!, [salts[i + 1]!]),
  ]);
  return {
    first: borderOf(salts[0]!, [FIRST_TAG, fingerprint, adapter, salts[0]!]),
    borders: new Map(borders),
  };
}

/** Computes the keys of all full blocks of a prompt, in order. A partial block at the end has no key. */
export function blockKeys(tokens: Uint32Array, seed: KeySeed, blockTokens = BLOCK_TOKENS): BlockMeta[] {
  const blocks: BlockMeta[] = [];
  for (let end = blockTokens; end <= tokens.length; end += blockTokens) {
    blocks.push(blockAfter(blocks.at(-1) ?? null, tokens.subarray(end - blockTokens, end), seed));
  }
  return blocks;
}

/** Computes the key of the block after `previous`, or of the first block. `tokens` are exactly the new block's tokens. */
export function blockAfter(previous: BlockMeta | null, tokens: ArrayLike<number>, seed: KeySeed): BlockMeta {
  if (previous === null) {
    const key = keyOf([seed.first.fields], tokens, seed.first.label);
    return { key, parent: null, index: 0, segment: key };
  }
  const border = seed.borders.get(previous.index + 1);
  if (border === undefined) return metaAfter(previous, nextBlockKey(previous.key, tokens));
  return metaAfter(previous, keyOf([LAYER_PREFIX, parentBytes(previous.key), border.fields], tokens, border.label));
}

/** The key of the block with these tokens after the block `parent`, under the same salt. */
export function nextBlockKey(parent: BlockKey, tokens: ArrayLike<number>): BlockKey {
  return keyOf([NEXT_PREFIX, parentBytes(parent)], tokens, labelOf(parent));
}

/** The label of the salt in the key of a block. */
export function labelOf(key: BlockKey): string {
  return key.slice(2 * DIGEST_BYTES);
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

const NEXT_PREFIX = parentPrefix(NEXT_TAG);
const LAYER_PREFIX = parentPrefix(LAYER_TAG);

function parentPrefix(tag: string): Buffer {
  return Buffer.concat([lengthPrefix(tag.length), Buffer.from(tag), lengthPrefix(KEY_BYTES)]);
}

function parentBytes(parent: BlockKey): Buffer {
  const bytes = Buffer.from(parent, 'hex');
  if (bytes.length === KEY_BYTES) return bytes;
  throw new InvalidRequest(`keys: the key of a parent block must be ${KEY_BYTES} bytes in hex`, 'keys');
}

function textFields(texts: readonly string[]): Buffer {
  const fields = texts.map((text) => Buffer.from(text, 'utf8'));
  return Buffer.concat(fields.flatMap((field) => [lengthPrefix(field.length), field]));
}

function keyOf(fields: readonly Uint8Array[], tokens: ArrayLike<number>, label: string): BlockKey {
  const before = fields.reduce((sum, { length }) => sum + length, 0);
  const bytes = Buffer.allocUnsafe(before + 4 + 4 * tokens.length);
  let at = 0;
  for (const field of fields) {
    bytes.set(field, at);
    at += field.length;
  }
  writeTokens(bytes, at, tokens);
  return hash('sha256', bytes, 'hex').slice(0, 2 * DIGEST_BYTES) + label;
}

/** Whether this machine has the bytes of a number in the order in which keys take them. */
const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

function writeTokens(bytes: Buffer, offset: number, tokens: ArrayLike<number>): void {
  bytes.writeUInt32LE(4 * tokens.length, offset);
  if (tokens instanceof Uint32Array && LITTLE_ENDIAN) {
    bytes.set(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength), offset + 4);
    return;
  }
  for (let i = 0; i < tokens.length; i++) bytes.writeUInt32LE(tokens[i]!, offset + 4 + 4 * i);
}
