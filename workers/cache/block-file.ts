import type { SealedBlock } from '../../src/core/block.js';
import { checksumOf } from '../../src/digest.js';

/** A block as a file: its header, byte for byte. */

/**
 * A block as a file: a header of `HEADER_BYTES`, then the block's bytes. Integers are little-endian.
 *
 * | at | bytes | what |
 * | --- | --- | --- |
 * | 0 | 8 | `shoalkv` and the version of the format |
 * | 8 | 4 | XXH32 of the rest of the header |
 * | 12 | 4 | the block's place in its prompt, in blocks |
 * | 16 | 8 | bytes of the block |
 * | 24 | 8 | digest of those bytes |
 * | 32 | 32 | fingerprint of the fleet |
 * | 64 | 32 | key |
 * | 96 | 32 | key of the parent; zeros for none |
 * | 128 | 32 | key of the segment |
 */
export const HEADER_BYTES = 160;

const MAGIC = Buffer.from('shoalkv\x01', 'latin1');
const CHECKED_FROM = 12;
const NO_KEY = '0'.repeat(64);

/** The header of a file: its block, and the fleet that the block belongs to. */
export interface BlockFileHeader {
  readonly fingerprint: string;
  readonly block: SealedBlock;
  readonly blockBytes: number;
}

export function encodeHeader({ fingerprint, block, blockBytes }: BlockFileHeader): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(block.index, 12);
  header.writeBigUInt64LE(BigInt(blockBytes), 16);
  header.write(block.digest, 24, 'hex');
  header.write(fingerprint, 32, 'hex');
  header.write(block.key, 64, 'hex');
  header.write(block.parent ?? NO_KEY, 96, 'hex');
  header.write(block.segment, 128, 'hex');
  header.writeUInt32LE(checksumOf(header.subarray(CHECKED_FROM)), 8);
  return header;
}

/** Null if the bytes are not a whole header of this version. */
export function decodeHeader(bytes: Uint8Array): BlockFileHeader | null {
  if (bytes.byteLength !== HEADER_BYTES) return null;
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!header.subarray(0, MAGIC.length).equals(MAGIC)) return null;
  if (header.readUInt32LE(8) !== checksumOf(header.subarray(CHECKED_FROM))) return null;
  const hex = (at: number, length: number) => header.toString('hex', at, at + length);
  const parent = hex(96, 32);
  return {
    fingerprint: hex(32, 32),
    blockBytes: Number(header.readBigUInt64LE(16)),
    block: {
      key: hex(64, 32),
      parent: parent === NO_KEY ? null : parent,
      index: header.readUInt32LE(12),
      segment: hex(128, 32),
      digest: hex(24, 8),
    },
  };
}
