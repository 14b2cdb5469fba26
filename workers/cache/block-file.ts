import type { SealedBlock } from '../../src/core/block.js';
import { PACKED_MAKER_BYTES, readMaker, writeMaker } from '../../src/core/maker.js';
import { BLOCK_SEAL_BYTES, type FileSealer, HEADER_SEAL_BYTES } from './file-seal.js';

/** A block as a file: its header, byte for byte. */

/**
 * A block as a file: a header of `HEADER_BYTES`, then the block's bytes. Integers are little-endian.
 *
 * | at | bytes | what |
 * | --- | --- | --- |
 * | 0 | 8 | `shoalkv` and the version of the format |
 * | 8 | 4 | zero |
 * | 12 | 4 | the block's place in its prompt, in blocks |
 * | 16 | 8 | bytes of the block |
 * | 24 | 8 | digest of those bytes |
 * | 32 | 32 | fingerprint of the fleet |
 * | 64 | 32 | key |
 * | 96 | 32 | key of the parent; zeros for none |
 * | 128 | 32 | key of the segment |
 * | 160 | 128 | its maker, as in the peer protocol |
 * | 288 | 28 | seal of the block's bytes |
 * | 316 | 32 | seal of all before |
 */
const MAKER_AT = 160;
const BLOCK_SEAL_AT = MAKER_AT + PACKED_MAKER_BYTES;
const HEADER_SEAL_AT = BLOCK_SEAL_AT + BLOCK_SEAL_BYTES;
export const HEADER_BYTES = HEADER_SEAL_AT + HEADER_SEAL_BYTES;

const NAME = Buffer.from('shoalkv', 'latin1');
const VERSION = 3;
const NO_KEY = '0'.repeat(64);

/** The header of a file: its block, and the fleet that the block belongs to. */
export interface BlockFileHeader {
  readonly fingerprint: string;
  readonly block: SealedBlock;
  readonly blockBytes: number;
  /** Seal of the block's bytes. */
  readonly seal: Uint8Array;
}

/** A block, and the seal of its bytes in the file. */
export type DiskBlock = Pick<BlockFileHeader, 'block' | 'seal'>;

export function encodeHeader(
  { fingerprint, block, blockBytes, seal }: BlockFileHeader,
  sealer: FileSealer,
): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES);
  NAME.copy(header);
  header[NAME.length] = VERSION;
  header.writeUInt32LE(block.index, 12);
  header.writeBigUInt64LE(BigInt(blockBytes), 16);
  header.write(block.digest, 24, 'hex');
  header.write(fingerprint, 32, 'hex');
  header.write(block.key, 64, 'hex');
  header.write(block.parent ?? NO_KEY, 96, 'hex');
  header.write(block.segment, 128, 'hex');
  writeMaker(block.maker, header, MAKER_AT);
  header.set(seal, BLOCK_SEAL_AT);
  header.set(sealer.sealHeader(header.subarray(0, HEADER_SEAL_AT)), HEADER_SEAL_AT);
  return header;
}

/** Null if the bytes are not a whole header of this version that a holder of the key has written. */
export function decodeHeader(bytes: Uint8Array, sealer: FileSealer): BlockFileHeader | null {
  if (bytes.byteLength !== HEADER_BYTES) return null;
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!header.subarray(0, NAME.length).equals(NAME) || header[NAME.length] !== VERSION) return null;
  if (!sealer.opensHeader(header.subarray(0, HEADER_SEAL_AT), header.subarray(HEADER_SEAL_AT))) return null;
  const hex = (at: number, length: number) => header.toString('hex', at, at + length);
  const parent = hex(96, 32);
  const maker = readMaker(header, MAKER_AT);
  if (maker === null) return null;
  return {
    fingerprint: hex(32, 32),
    blockBytes: Number(header.readBigUInt64LE(16)),
    block: {
      key: hex(64, 32),
      parent: parent === NO_KEY ? null : parent,
      index: header.readUInt32LE(12),
      segment: hex(128, 32),
      digest: hex(24, 8),
      maker,
    },
    seal: Uint8Array.from(header.subarray(BLOCK_SEAL_AT, HEADER_SEAL_AT)),
  };
}

/** Whether a file begins like one of an earlier version of the format, which is of no use any more and no sign of damage. */
export function isOutdated(start: Uint8Array): boolean {
  return NAME.equals(start.subarray(0, NAME.length)) && (start[NAME.length] ?? VERSION) < VERSION;
}
