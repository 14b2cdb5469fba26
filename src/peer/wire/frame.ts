import { Corrupt, Refused } from '../../errors.js';
import { checksumOf } from './digest.js';

/** Frames between peers, as `docs/PEER-PROTOCOL.md` has them: a prelude of fixed size, a header, a payload. */

export const PRELUDE_BYTES = 28;

const MAGIC = 0x414f4853;
const VERSION = 1;

export interface Prelude {
  /** What kind of frame; see `messages.ts`. */
  readonly type: number;
  /** The request it belongs to; 0 for the connection itself. */
  readonly request: number;
  readonly headerBytes: number;
  readonly payloadBytes: number;
  readonly headerChecksum: number;
}

/** Prelude and header of a frame, to be followed by its payload. */
export function packFrame(type: number, request: number, header: Uint8Array, payloadBytes: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(PRELUDE_BYTES + header.byteLength);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt8(VERSION, 4);
  bytes.writeUInt8(type, 5);
  bytes.writeUInt16LE(0, 6);
  bytes.writeUInt32LE(request, 8);
  bytes.writeUInt32LE(header.byteLength, 12);
  bytes.writeUInt32LE(payloadBytes, 16);
  bytes.writeUInt32LE(checksumOf(header), 20);
  bytes.writeUInt32LE(checksumOf(bytes.subarray(0, 24)), 24);
  bytes.set(header, PRELUDE_BYTES);
  return bytes;
}

/**
 * Reads the first `PRELUDE_BYTES` of a frame. Its lengths are as they were sent, which is not to say that they are allowed.
 * @throws Corrupt if these bytes are not a prelude, Refused if they are one of another version.
 */
export function readPrelude(bytes: Uint8Array): Prelude {
  const view = new DataView(bytes.buffer, bytes.byteOffset, PRELUDE_BYTES);
  if (view.getUint32(0, true) !== MAGIC) throw new Corrupt('a peer sent something that is not a frame');
  if (view.getUint32(24, true) !== checksumOf(bytes.subarray(0, 24))) {
    throw new Corrupt("the prelude of a peer's frame does not agree with its checksum");
  }
  const version = view.getUint8(4);
  if (version !== VERSION) {
    throw new Refused(`a peer speaks version ${version} of the peer protocol, this worker ${VERSION}: run one release`);
  }
  if (view.getUint16(6, true) !== 0) throw new Corrupt("reserved bits of a peer's frame are set");
  return {
    type: view.getUint8(5),
    request: view.getUint32(8, true),
    headerBytes: view.getUint32(12, true),
    payloadBytes: view.getUint32(16, true),
    headerChecksum: view.getUint32(20, true),
  };
}

/** @throws Corrupt if the header is not the one that was sent. */
export function checkHeader(prelude: Prelude, header: Uint8Array): void {
  if (checksumOf(header) !== prelude.headerChecksum) {
    throw new Corrupt("the header of a peer's frame does not agree with its checksum");
  }
}

/** @throws Corrupt if a frame is longer than it may be at this point, or has not the payload that it should have. */
export function checkLengths(prelude: Prelude, headerBytes: number, payloadBytes: number): void {
  if (prelude.headerBytes > headerBytes) {
    throw new Corrupt(`a peer sent a header of ${prelude.headerBytes} bytes where ${headerBytes} are the most`);
  }
  if (prelude.payloadBytes !== payloadBytes) {
    throw new Corrupt(`a peer sent a payload of ${prelude.payloadBytes} bytes where ${payloadBytes} are due`);
  }
}
