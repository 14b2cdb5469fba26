import type { SealedBlock } from '../core/block.js';
import { Corrupt, InternalError } from '../errors.js';

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
  if (packed.byteLength % PACKED_BLOCK_BYTES !== 0) {
    throw new Corrupt(`${packed.byteLength} bytes are not whole blocks of ${PACKED_BLOCK_BYTES}`);
  }
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  return Array.from({ length: packed.byteLength / PACKED_BLOCK_BYTES }, (_, i) =>
    unpackBlock(bytes, i * PACKED_BLOCK_BYTES),
  );
}

function unpackBlock(bytes: Buffer, at: number): SealedBlock {
  const hasParent = bytes.readUInt32LE(at + HAS_PARENT);
  const parent = bytes.toString('hex', at + PARENT, at + SEGMENT);
  if (hasParent > 1 || (hasParent === 0 && parent !== NO_PARENT))
    throw new Corrupt('a block neither has a parent nor has none');
  return {
    index: bytes.readUInt32LE(at + INDEX),
    digest: bytes.toString('hex', at + DIGEST, at + KEY),
    key: bytes.toString('hex', at + KEY, at + PARENT),
    parent: hasParent === 1 ? parent : null,
    segment: bytes.toString('hex', at + SEGMENT, at + PACKED_BLOCK_BYTES),
  };
}

function writeHex(bytes: Buffer, hex: string, at: number, length: number): void {
  if (hex.length !== 2 * length || bytes.write(hex, at, length, 'hex') !== length) {
    throw new InternalError(`a key or digest of a block is not ${length} bytes in hex`);
  }
}
