import { type Cipher, createCipheriv, createDecipheriv, type Decipher } from 'node:crypto';

/**
 * AES-256-OCB (RFC 7253) with 96-bit nonces and 128-bit tags. Texts are first padded to whole blocks (ISO/IEC 7816-4: a byte 80, then zeros).
 *
 * The bytes are those of OpenSSL's `aes-256-ocb`. OpenSSL needs a new object for each message, which costs more than the encryption of a small
 * message. OCB asks nothing of AES but the encryption of independent blocks, so here two AES objects per key serve all messages.
 */

const BLOCK_BYTES = 16;
const TAG_BYTES = 16;
const BLOCK_WORDS = BLOCK_BYTES / 4;
const PADDING = 0x80;
/** L_0 to L_23 of the RFC: enough for texts of 256 MiB. */
const TABLE_ENTRIES = 24;
/** Nonces that differ only in their last six bits share one encryption. */
const NONCES_SHARED = 64;
/** Memory that all small messages share; larger ones get their own. */
const SHARED_BYTES = 16 * 1024;

/**
 * The blocks of one message on their way through AES: the text and the tag, or the associated data. Words are in the machine's byte order,
 * because they are only combined by exclusive or.
 */
class Blocks {
  readonly words: Int32Array;
  readonly bytes: Buffer;
  /** The offset of each block of the text. */
  readonly offsets: Int32Array;

  constructor(bytes: number) {
    this.words = new Int32Array(bytes / 4);
    this.bytes = Buffer.from(this.words.buffer);
    this.offsets = new Int32Array(bytes / 4);
  }
}

const shared = new Blocks(SHARED_BYTES);

/** Memory for the blocks of a message. Valid until the next call. */
function blocksFor(bytes: number): Blocks {
  return bytes <= SHARED_BYTES ? shared : new Blocks(bytes);
}

/** HASH of the RFC, of bytes that are authenticated with a text, but not encrypted. It depends on the key, not on the nonce. */
export type AssociatedHash = Int32Array;

/** Encrypts and authenticates with one key. The caller must use each nonce for one message only. */
export class Ocb {
  private readonly encryption: Cipher;
  private readonly decryption: Decipher;
  /** L_*, L_$, and the table of L_0 to L_23. */
  private readonly star: Int32Array;
  private readonly dollar: Int32Array;
  private readonly table = new Int32Array(BLOCK_WORDS * TABLE_ENTRIES);
  /** The nonce, less its last six bits, from which `stretch` was made; -1 before the first. */
  private stretchedNonce = -1;
  private readonly stretch = new Uint8Array(BLOCK_BYTES + 8);
  private readonly nonceBlock = Buffer.alloc(BLOCK_BYTES);
  /** The offset before the first block of the text, and after the last. */
  private readonly offset = new Int32Array(BLOCK_WORDS);
  private readonly offsetBytes = new Uint8Array(this.offset.buffer);

  /** `key` has 32 bytes. */
  constructor(key: Uint8Array) {
    this.encryption = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false);
    this.decryption = createDecipheriv('aes-256-ecb', key, null).setAutoPadding(false);
    let bytes: Uint8Array = this.encryption.update(Buffer.alloc(BLOCK_BYTES));
    this.star = wordsOf(bytes);
    bytes = doubled(bytes);
    this.dollar = wordsOf(bytes);
    for (let i = 0; i < TABLE_ENTRIES; i++) {
      bytes = doubled(bytes);
      this.table.set(wordsOf(bytes), BLOCK_WORDS * i);
    }
    this.nonceBlock[3] = 1;
  }

  /** The hash of associated data. Worth keeping where many messages have the same. */
  hash(associated: Uint8Array): AssociatedHash {
    const { byteLength } = associated;
    const end = wholeBlocks(byteLength);
    const { words, bytes } = blocksFor(end);
    bytes.set(associated);
    if (byteLength < end) pad(bytes, byteLength, end);
    this.maskAssociated(words, byteLength);
    if (end > 0) bytes.set(this.encryption.update(bytes.subarray(0, end)));
    const hash = new Int32Array(BLOCK_WORDS);
    fold(words, 0, end, hash, 0);
    return hash;
  }

  /**
   * Writes the ciphertext of a text and the tag, together `ocbBytes` long, to `sealed` from `at`. The nonce of the RFC is 32 zero bits and
   * `nonce`, a safe integer, in 64 bits, most significant byte first.
   */
  seal(nonce: number, associated: AssociatedHash, text: Uint8Array, sealed: Buffer, at: number): void {
    const tagAt = paddedBytes(text.byteLength);
    const { words, bytes, offsets } = blocksFor(tagAt + TAG_BYTES);
    bytes.set(text);
    pad(bytes, text.byteLength, tagAt);
    this.makeOffsets(nonce, offsets, tagAt);
    this.prepareTag(words, tagAt);
    mask(words, offsets, tagAt);
    const message = bytes.subarray(0, tagAt + TAG_BYTES);
    bytes.set(this.encryption.update(message));
    mask(words, offsets, tagAt);
    fold(associated, 0, TAG_BYTES, words, tagAt);
    sealed.set(message, at);
  }

  /** Decrypts and verifies the rest of `sealed` from `at`. Returns the text; null if the nonce, the associated data or any byte differs. */
  open(nonce: number, associated: AssociatedHash, sealed: Buffer, at: number): Buffer | null {
    const tagAt = sealed.byteLength - at - TAG_BYTES;
    if (tagAt < BLOCK_BYTES || tagAt % BLOCK_BYTES !== 0) return null;
    const { words, bytes, offsets } = blocksFor(tagAt + TAG_BYTES);
    const part = bytes.subarray(0, tagAt);
    sealed.copy(bytes, 0, at, at + tagAt);
    this.makeOffsets(nonce, offsets, tagAt);
    mask(words, offsets, tagAt);
    bytes.set(this.decryption.update(part));
    mask(words, offsets, tagAt);
    this.prepareTag(words, tagAt);
    bytes.set(this.encryption.update(bytes.subarray(tagAt, tagAt + TAG_BYTES)), tagAt);
    fold(associated, 0, TAG_BYTES, words, tagAt);
    // Takes the same time wherever the tags differ.
    let difference = 0;
    for (let i = 0; i < TAG_BYTES; i++) difference |= bytes[tagAt + i]! ^ sealed[at + tagAt + i]!;
    if (difference !== 0) return null;
    return Buffer.from(part.subarray(0, part.lastIndexOf(PADDING)));
  }

  /** Makes the offset of each block of a text, and leaves the last one in `offset`. */
  private makeOffsets(nonce: number, offsets: Int32Array, length: number): void {
    this.startOffset(nonce);
    const { table, offset } = this;
    let [a, b, c, d] = offset as unknown as [number, number, number, number];
    for (let block = 1, at = 0; at < length / 4; block++, at += BLOCK_WORDS) {
      const l = entryOf(block);
      offsets[at] = a ^= table[l]!;
      offsets[at + 1] = b ^= table[l + 1]!;
      offsets[at + 2] = c ^= table[l + 2]!;
      offsets[at + 3] = d ^= table[l + 3]!;
    }
    offset[0] = a;
    offset[1] = b;
    offset[2] = c;
    offset[3] = d;
  }

  /** The offset before the first block: 128 bits of the stretched nonce, from the bit that the last six bits of the nonce say. */
  private startOffset(nonce: number): void {
    const { stretch, offsetBytes } = this;
    const bits = nonce % NONCES_SHARED;
    if (this.stretchedNonce !== nonce - bits) this.stretchNonce(nonce - bits);
    const from = bits >>> 3;
    const shift = bits & 7;
    for (let i = 0; i < BLOCK_BYTES; i++) {
      offsetBytes[i] = (stretch[from + i]! << shift) | (stretch[from + i + 1]! >>> (8 - shift));
    }
  }

  private stretchNonce(nonce: number): void {
    const { stretch, nonceBlock } = this;
    nonceBlock.writeBigUInt64BE(BigInt(nonce), 8);
    const top = this.encryption.update(nonceBlock);
    stretch.set(top);
    for (let i = 0; i < 8; i++) stretch[BLOCK_BYTES + i] = top[i]! ^ top[i + 1]!;
    this.stretchedNonce = nonce;
  }

  /** Puts the input of the tag behind the plain text. */
  private prepareTag(words: Int32Array, tagAt: number): void {
    const { offset, dollar } = this;
    const tag = tagAt / 4;
    for (let i = 0; i < BLOCK_WORDS; i++) words[tag + i] = offset[i]! ^ dollar[i]!;
    fold(words, 0, tagAt, words, tagAt);
  }

  /** A last block that was filled up has an offset of its own. */
  private maskAssociated(words: Int32Array, end: number): void {
    const { table, star } = this;
    let [a, b, c, d] = [0, 0, 0, 0];
    for (let block = 1, start = 0; start < end; block++, start += BLOCK_BYTES) {
      const whole = end - start >= BLOCK_BYTES;
      const by = whole ? table : star;
      const l = whole ? entryOf(block) : 0;
      const at = start / 4;
      words[at]! ^= a ^= by[l]!;
      words[at + 1]! ^= b ^= by[l + 1]!;
      words[at + 2]! ^= c ^= by[l + 2]!;
      words[at + 3]! ^= d ^= by[l + 3]!;
    }
  }
}

/** Where the entry of a block, counted from 1, begins in the table: L_i, where i is the number of zero bits at the end of the block's number. */
function entryOf(block: number): number {
  return BLOCK_WORDS * (31 - Math.clz32(block & -block));
}

function mask(words: Int32Array, offsets: Int32Array, bytes: number): void {
  for (let i = 0; i < bytes / 4; i++) words[i]! ^= offsets[i]!;
}

/** Adds the blocks from one byte to another to the block of `sum` at the byte `toByte`. */
function fold(words: Int32Array, fromByte: number, endByte: number, sum: Int32Array, toByte: number): void {
  const to = toByte / 4;
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let i = fromByte / 4; i < endByte / 4; i += BLOCK_WORDS) {
    a ^= words[i]!;
    b ^= words[i + 1]!;
    c ^= words[i + 2]!;
    d ^= words[i + 3]!;
  }
  sum[to]! ^= a;
  sum[to + 1]! ^= b;
  sum[to + 2]! ^= c;
  sum[to + 3]! ^= d;
}

/** Twice a block in the field of the RFC: a polynomial over GF(2) modulo x^128 + x^7 + x^2 + x + 1. */
function doubled(block: Uint8Array): Uint8Array {
  const twice = new Uint8Array(BLOCK_BYTES);
  let carry = 0;
  for (let i = BLOCK_BYTES - 1; i >= 0; i--) {
    const shifted = (block[i]! << 1) | carry;
    twice[i] = shifted;
    carry = shifted >>> 8;
  }
  twice[BLOCK_BYTES - 1]! ^= 0x87 * carry;
  return twice;
}

function wordsOf(block: Uint8Array): Int32Array {
  return new Int32Array(Uint8Array.from(block).buffer);
}

function pad(bytes: Uint8Array, from: number, to: number): void {
  bytes[from] = PADDING;
  for (let i = from + 1; i < to; i++) bytes[i] = 0;
}

function wholeBlocks(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

function paddedBytes(textBytes: number): number {
  return wholeBlocks(textBytes + 1);
}

/** Size of the ciphertext and the tag of a text. */
export function ocbBytes(textBytes: number): number {
  return paddedBytes(textBytes) + TAG_BYTES;
}

/** Largest difference between `ocbBytes` and the size of the text. */
export const OCB_EXTRA_BYTES = BLOCK_BYTES + TAG_BYTES;
