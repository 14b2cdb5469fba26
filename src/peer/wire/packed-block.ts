import type { SealedBlock } from '../../core/block.js';
import { Corrupt, InternalError } from '../../errors.js';

/** Blocks as they stand in headers of frames, `docs/PEER-PROTOCOL.md`: fixed fields one after another, so that they cost little to read. */

export const PACKED_BLOCK_BYTES = 112;

const INDEX = 0;
const HAS_PARENT = 4;
const DIGEST = 8;
const KEY = 16;
const PARENT = 48;
const SEGMENT = 80;

const NO_PARENT = '0'.repeat(64);

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
  }
  return bytes;
}

/** @throws Corrupt if the bytes are not whole blocks, or not as `packBlocks` would write them. */
export function unpackBlocks(packed: Uint8Array): SealedBlock[] {
  const blocks: SealedBlock[] = [];
  for (let at = 0; at < packed.byteLength; at += PACKED_BLOCK_BYTES) {
    blocks.push(unpackBlock(packed.subarray(at, at + PACKED_BLOCK_BYTES)));
  }
  return blocks;
}

/** @throws Corrupt if the bytes are not one block, or not as `packBlocks` would write it. */
export function unpackBlock(packed: Uint8Array): SealedBlock {
  if (packed.byteLength !== PACKED_BLOCK_BYTES) {
    throw new Corrupt(`a block is described in ${packed.byteLength} bytes and not ${PACKED_BLOCK_BYTES}`);
  }
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, PACKED_BLOCK_BYTES);
  // One conversion for all fields: each costs more than its digits.
  const hex = bytes.toString('hex');
  const field = (from: number, to: number) => hex.slice(2 * from, 2 * to);
  const hasParent = bytes.readUInt32LE(HAS_PARENT);
  const parent = field(PARENT, SEGMENT);
  if (hasParent > 1 || (hasParent === 0 && parent !== NO_PARENT)) {
    throw new Corrupt('a block is described as one that neither has a parent nor has none');
  }
  return {
    index: bytes.readUInt32LE(INDEX),
    digest: field(DIGEST, KEY),
    key: field(KEY, PARENT),
    parent: hasParent === 1 ? parent : null,
    segment: field(SEGMENT, PACKED_BLOCK_BYTES),
  };
}

function writeHex(bytes: Buffer, hex: string, at: number, length: number): void {
  if (hex.length !== 2 * length || bytes.write(hex, at, length, 'hex') !== length) {
    throw new InternalError(`a key or digest of a block is not ${length} bytes in hex`);
  }
}
