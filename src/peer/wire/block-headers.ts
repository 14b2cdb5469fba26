import type { SealedBlock } from '../../core/block.js';
import { PACKED_MAKER_BYTES, readMaker, writeMaker } from '../../core/maker.js';
import type { SharedPlace } from '../../core/shared-place.js';
import { Corrupt, InternalError } from '../../errors.js';
import { PEER_BLOCKS_PINNED } from '../../limits.js';

/** Blocks in headers of frames, with or without their place in shared memory. Fixed fields, one after another, cost little to read. */

/** Bytes of a block's description. */
export const PACKED_BLOCK_BYTES = 112 + PACKED_MAKER_BYTES;

const INDEX = 0;
const HAS_PARENT = 4;
const DIGEST = 8;
const KEY = 16;
const PARENT = 48;
const SEGMENT = 80;
const MAKER = 112;

const NO_PARENT = '0'.repeat(64);

/** A block, and where processes of its worker's host can read it. */
export interface SharedBlock {
  readonly block: SealedBlock;
  readonly place: SharedPlace;
}

const FILE = PACKED_BLOCK_BYTES;
const RESERVED = FILE + 4;
const OFFSET = FILE + 8;
const SHARED_BLOCK_BYTES = FILE + 16;

/** @throws InternalError if a key or digest is not in hex of the right length. */
export function packBlocks(blocks: readonly SealedBlock[]): Uint8Array {
  const bytes = Buffer.alloc(blocks.length * PACKED_BLOCK_BYTES);
  for (const [i, block] of blocks.entries()) {
    const at = i * PACKED_BLOCK_BYTES;
    bytes.writeUInt32LE(block.index, at + INDEX);
    bytes.writeUInt32LE(block.parent === null ? 0 : 1, at + HAS_PARENT);
    writeHex(bytes, block.digest, at + DIGEST, 8);
    writeHex(bytes, block.key, at + KEY, 32);
    writeHex(bytes, block.parent ?? NO_PARENT, at + PARENT, 32);
    writeHex(bytes, block.segment, at + SEGMENT, 32);
    writeMaker(block.maker, bytes, at + MAKER);
  }
  return bytes;
}

/** @throws Corrupt if the bytes are not whole blocks, or differ from what `packBlocks` writes. */
export function unpackBlocks(packed: Uint8Array): SealedBlock[] {
  const blocks: SealedBlock[] = [];
  for (let at = 0; at < packed.byteLength; at += PACKED_BLOCK_BYTES) {
    blocks.push(unpackBlock(packed.subarray(at, at + PACKED_BLOCK_BYTES)));
  }
  return blocks;
}

/** @throws Corrupt if the bytes are not one block, or differ from what `packBlocks` writes. */
export function unpackBlock(packed: Uint8Array): SealedBlock {
  if (packed.byteLength !== PACKED_BLOCK_BYTES) {
    throw new Corrupt(
      `a peer described a block in ${packed.byteLength} bytes; a description has ${PACKED_BLOCK_BYTES}`,
    );
  }
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, PACKED_BLOCK_BYTES);
  // One conversion for all fields: each conversion costs more than its digits.
  const hex = bytes.toString('hex', 0, MAKER);
  const field = (from: number, to: number) => hex.slice(2 * from, 2 * to);
  const hasParent = bytes.readUInt32LE(HAS_PARENT);
  const parent = field(PARENT, SEGMENT);
  if (hasParent > 1 || (hasParent === 0 && parent !== NO_PARENT)) {
    throw new Corrupt("a peer described a block whose parent contradicts the flag 'has a parent'");
  }
  const maker = readMaker(bytes, MAKER);
  if (maker === null) throw new Corrupt('a peer described a block whose maker has no readable name');
  return {
    index: bytes.readUInt32LE(INDEX),
    digest: field(DIGEST, KEY),
    key: field(KEY, PARENT),
    parent: hasParent === 1 ? parent : null,
    segment: field(SEGMENT, MAKER),
    maker,
  };
}

/** @throws InternalError if a key or digest is not in hex of the right length. */
export function packSharedBlocks(blocks: readonly SharedBlock[]): Uint8Array {
  const bytes = Buffer.alloc(blocks.length * SHARED_BLOCK_BYTES);
  for (const [i, { block, place }] of blocks.entries()) {
    const at = i * SHARED_BLOCK_BYTES;
    bytes.set(packBlocks([block]), at);
    bytes.writeUInt32LE(place.fileDescriptor, at + FILE);
    bytes.writeBigUInt64LE(BigInt(place.offset), at + OFFSET);
  }
  return bytes;
}

/** @throws Corrupt if the bytes are not 1 to `PEER_BLOCKS_PINNED` blocks, or differ from what `packSharedBlocks` writes. */
export function unpackSharedBlocks(packed: Uint8Array): SharedBlock[] {
  const count = packed.byteLength / SHARED_BLOCK_BYTES;
  if (!Number.isSafeInteger(count) || count < 1 || count > PEER_BLOCKS_PINNED) {
    throw new Corrupt(
      `a peer described pinned blocks in ${packed.byteLength} bytes; it may send 1 to ${PEER_BLOCKS_PINNED} times ${SHARED_BLOCK_BYTES}`,
    );
  }
  return Array.from({ length: count }, (_, i) => {
    const at = i * SHARED_BLOCK_BYTES;
    return unpackSharedBlock(Buffer.from(packed.buffer, packed.byteOffset + at, SHARED_BLOCK_BYTES));
  });
}

function unpackSharedBlock(bytes: Buffer): SharedBlock {
  const fileDescriptor = bytes.readUInt32LE(FILE);
  const offset = Number(bytes.readBigUInt64LE(OFFSET));
  if (bytes.readUInt32LE(RESERVED) !== 0 || fileDescriptor > 0x7fffffff || !Number.isSafeInteger(offset)) {
    throw new Corrupt('a peer pinned a block at an impossible place');
  }
  return { block: unpackBlock(bytes.subarray(0, PACKED_BLOCK_BYTES)), place: { fileDescriptor, offset } };
}

function writeHex(bytes: Buffer, hex: string, at: number, length: number): void {
  if (hex.length !== 2 * length || bytes.write(hex, at, length, 'hex') !== length) {
    throw new InternalError(`a key or digest of a block is not ${length} bytes in hex`);
  }
}
