import type { SealedBlock } from '../../core/block.js';
import type { SharedPlace } from '../../core/shared-place.js';
import { Corrupt } from '../../errors.js';
import { PEER_BLOCKS_LENT } from '../../limits.js';
import { PACKED_BLOCK_BYTES, packBlocks, unpackBlock } from './packed-block.js';

/** Blocks that are lent where they lie, as they stand in headers of frames, `docs/PEER-PROTOCOL.md`. */

export interface PlacedBlock {
  readonly block: SealedBlock;
  readonly place: SharedPlace;
}

const FILE = PACKED_BLOCK_BYTES;
const RESERVED = FILE + 4;
const OFFSET = FILE + 8;
const PLACED_BLOCK_BYTES = FILE + 16;

export function packPlacedBlocks(blocks: readonly PlacedBlock[]): Uint8Array {
  const bytes = Buffer.alloc(blocks.length * PLACED_BLOCK_BYTES);
  for (const [i, { block, place }] of blocks.entries()) {
    const at = i * PLACED_BLOCK_BYTES;
    bytes.set(packBlocks([block]), at);
    bytes.writeUInt32LE(place.fileDescriptor, at + FILE);
    bytes.writeBigUInt64LE(BigInt(place.offset), at + OFFSET);
  }
  return bytes;
}

/** @throws Corrupt if the bytes are not 1 to `PEER_BLOCKS_LENT` blocks, or not as `packPlacedBlocks` would write them. */
export function unpackPlacedBlocks(packed: Uint8Array): PlacedBlock[] {
  const count = packed.byteLength / PLACED_BLOCK_BYTES;
  if (!Number.isSafeInteger(count) || count < 1 || count > PEER_BLOCKS_LENT) {
    throw new Corrupt(`a peer lends 1 to ${PEER_BLOCKS_LENT} blocks at a time, not ${packed.byteLength} bytes of them`);
  }
  return Array.from({ length: count }, (_, i) => {
    const at = i * PLACED_BLOCK_BYTES;
    return unpackPlacedBlock(Buffer.from(packed.buffer, packed.byteOffset + at, PLACED_BLOCK_BYTES));
  });
}

function unpackPlacedBlock(bytes: Buffer): PlacedBlock {
  const fileDescriptor = bytes.readUInt32LE(FILE);
  const offset = Number(bytes.readBigUInt64LE(OFFSET));
  if (bytes.readUInt32LE(RESERVED) !== 0 || fileDescriptor > 0x7fffffff || !Number.isSafeInteger(offset)) {
    throw new Corrupt('a peer lends a block at a place that cannot be');
  }
  return { block: unpackBlock(bytes.subarray(0, PACKED_BLOCK_BYTES)), place: { fileDescriptor, offset } };
}
