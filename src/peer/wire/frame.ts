import type { BlockDigest } from '../../core/block.js';
import { checksumOf, Digester } from '../../digest.js';
import { Corrupt, InternalError, Refused } from '../../errors.js';
import { FRAME_HEADER_BYTES, HANDSHAKE_FRAME_BYTES } from '../../limits.js';

/** Frames between peers: a prelude of fixed size, a header, a payload. `docs/PEER-PROTOCOL.md` specifies them. */

/** Limit on one read from a peer's socket, so that the bytes are still in the CPU cache when their digest is computed. @internal exported for tests. */
export const PEER_READ_BYTES = 256 * 1024;
export const PRELUDE_BYTES = 28;

const MAGIC = 0x414f4853;
const VERSION = 3;

export interface Prelude {
  /** The code of the message in the header. */
  readonly type: number;
  /** The request that the frame belongs to; 0 for the connection itself. */
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
  bytes.writeUInt32LE(checksumOf(bytes, 0, 24), 24);
  bytes.set(header, PRELUDE_BYTES);
  return bytes;
}

/**
 * Reads the `PRELUDE_BYTES` of a frame that begin at an offset. Its lengths are as the peer sent them; the caller checks them with `checkLengths`.
 * @throws Corrupt if these bytes are not a prelude, Refused if they are a prelude of another version.
 * @internal exported for tests.
 */
export function readPrelude(bytes: Uint8Array, at = 0): Prelude {
  if (uint32(bytes, at) !== MAGIC) throw new Corrupt('a peer sent bytes that are not a frame');
  if (uint32(bytes, at + 24) !== checksumOf(bytes, at, at + 24)) {
    throw new Corrupt("a peer's frame: the prelude does not match its checksum");
  }
  const version = bytes[at + 4];
  if (version !== VERSION) {
    throw new Refused(
      `a peer speaks version ${version} of the peer protocol and this process ${VERSION}; run one release on all members`,
    );
  }
  if (bytes[at + 6] !== 0 || bytes[at + 7] !== 0) throw new Corrupt("a peer's frame: reserved bits are set");
  return {
    type: bytes[at + 5]!,
    request: uint32(bytes, at + 8),
    headerBytes: uint32(bytes, at + 12),
    payloadBytes: uint32(bytes, at + 16),
    headerChecksum: uint32(bytes, at + 20),
  };
}

function uint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/**
 * Checks a header against its prelude.
 * @throws Corrupt if the header does not match the checksum in its prelude.
 * @internal exported for tests.
 */
export function checkHeader(prelude: Prelude, header: Uint8Array): void {
  if (checksumOf(header) !== prelude.headerChecksum) {
    throw new Corrupt("a peer's frame: the header does not match its checksum");
  }
}

/** @throws Corrupt if the header is longer than `headerBytes`, or the payload is not exactly `payloadBytes`. */
export function checkLengths(prelude: Prelude, headerBytes: number, payloadBytes: number): void {
  if (prelude.headerBytes > headerBytes) {
    throw new Corrupt(`a peer sent a header of ${prelude.headerBytes} bytes; at most ${headerBytes} are allowed`);
  }
  if (prelude.payloadBytes !== payloadBytes) {
    throw new Corrupt(`a peer sent a payload of ${prelude.payloadBytes} bytes; ${payloadBytes} were due`);
  }
}

/** Receives the frames that a reader finds. Each method may throw, which ends the connection: the bytes that follow have no meaning. */
export interface FrameTaker {
  /** Checks that a frame of this type, with these lengths, may come now. Throws if it may not. */
  admit(prelude: Prelude): void;
  /**
   * The header has come and matches its checksum; `header` is valid during the call only. Gives memory of exactly the payload's length, or
   * null to discard the payload. For a frame without payload, gives null.
   */
  begin(prelude: Prelude, header: Uint8Array): Uint8Array | null;
  /** Called after each part of a payload. False lets go of the payload's memory; the reader discards the rest. */
  wants(): boolean;
  /** The whole frame has come. `digest` covers its payload; null if there was none or it was discarded. */
  end(digest: BlockDigest | null): void;
}

/** Bytes read along with a header, unless `FrameReader.readAhead` says otherwise. */
const READ_AHEAD_BYTES = 2048;

/**
 * Cuts a stream of bytes into frames. Bytes come in two steps, so that the socket reads them straight into their final memory: `target` gives
 * the memory for the next bytes, `advance` says how many of them have come. Knows no socket.
 */
export class FrameReader {
  /** Holds preludes and headers, and the bytes of discarded payloads. */
  private scratch = Buffer.allocUnsafe(HANDSHAKE_FRAME_BYTES);
  /** The beginning of the scratch memory, into which a frame is read of which no byte has come. */
  private fresh: Uint8Array | null = null;
  private filled = 0;
  /** The prelude of the frame whose header is due; null while a prelude is due. */
  private prelude: Prelude | null = null;
  private payload: Uint8Array | null = null;
  private payloadBytes = 0;
  private received = 0;
  private stopped = false;
  private ended = 0;
  /** Bytes read along with a header, beyond its end. Few where payloads are large: payload bytes among them are copied once more. */
  private readAheadBytes = READ_AHEAD_BYTES;
  private readonly digester = new Digester();

  /** Headers fit `HANDSHAKE_FRAME_BYTES` at first. */
  constructor(private taker: FrameTaker) {}

  /** Gives the frames that begin from now on to another taker, and makes room for headers of full size. A taker may call it in its `end`. */
  handTo(taker: FrameTaker): void {
    this.taker = taker;
    const wide = Buffer.allocUnsafe(PRELUDE_BYTES + FRAME_HEADER_BYTES);
    this.scratch.copy(wide, 0, 0, this.filled);
    this.scratch = wide;
    this.fresh = null;
  }

  /** Reads up to this many bytes beyond a header along with it. */
  readAhead(bytes: number): void {
    this.readAheadBytes = bytes;
    this.fresh = null;
  }

  /** Discards all bytes from now on. */
  stop(): void {
    this.stopped = true;
    this.payload = null;
  }

  /** Frames that have come in whole. */
  get frames(): number {
    return this.ended;
  }

  /** Whether a frame has begun and not ended. */
  get midFrame(): boolean {
    return this.inPayload || this.filled > 0 || this.prelude !== null;
  }

  /** Memory for the next bytes; never empty. Valid until `advance`. */
  target(): Uint8Array {
    if (this.stopped) return this.scratch;
    if (this.inPayload) {
      const left = Math.min(this.payloadBytes - this.received, PEER_READ_BYTES);
      return this.payload?.subarray(this.received, this.received + left) ?? this.scratch.subarray(0, left);
    }
    if (this.filled === 0 && this.prelude === null) {
      this.fresh ??= this.scratch.subarray(0, Math.max(PRELUDE_BYTES, this.readAheadBytes));
      return this.fresh;
    }
    const wanted = this.prelude?.headerBytes ?? PRELUDE_BYTES;
    return this.scratch.subarray(this.filled, Math.max(wanted, this.filled + this.readAheadBytes));
  }

  /** The first `bytes` of what `target` gave are filled. Throws what the taker throws, and Corrupt or Refused for bytes that are not a frame. */
  advance(bytes: number): void {
    if (this.stopped) return;
    if (this.inPayload) {
      this.take(bytes);
    } else {
      this.filled += bytes;
      this.cut();
    }
  }

  private get inPayload(): boolean {
    return this.received < this.payloadBytes;
  }

  /** Takes the frames in the scratch memory, and the part of a payload that came with its header. */
  private cut(): void {
    let at = 0;
    while (!this.stopped) {
      if (this.prelude === null) {
        if (this.filled - at < PRELUDE_BYTES) break;
        this.prelude = this.readPrelude(at);
        at += PRELUDE_BYTES;
      }
      const { headerBytes, payloadBytes } = this.prelude;
      if (this.filled - at < headerBytes) break;
      this.begin(this.prelude, this.scratch.subarray(at, at + headerBytes));
      at += headerBytes;
      if (payloadBytes === 0) continue;
      const came = Math.min(this.filled - at, payloadBytes);
      this.payload?.set(this.scratch.subarray(at, at + came));
      this.take(came);
      at += came;
      if (this.inPayload) break;
    }
    if (at > 0 && at < this.filled) this.scratch.copyWithin(0, at, this.filled);
    this.filled -= at;
  }

  private readPrelude(at: number): Prelude {
    const prelude = readPrelude(this.scratch, at);
    this.taker.admit(prelude);
    if (prelude.headerBytes > this.scratch.length) {
      throw new InternalError(
        `a header of ${prelude.headerBytes} bytes was admitted; at most ${this.scratch.length} fit`,
      );
    }
    return prelude;
  }

  private begin(prelude: Prelude, header: Uint8Array): void {
    checkHeader(prelude, header);
    const payload = this.taker.begin(prelude, header);
    if (payload !== null && payload.byteLength !== prelude.payloadBytes) {
      throw new InternalError(`memory of ${payload.byteLength} bytes for a payload of ${prelude.payloadBytes}`);
    }
    this.prelude = null;
    if (prelude.payloadBytes === 0) {
      this.ended++;
      this.taker.end(null);
      return;
    }
    this.payload = payload;
    this.payloadBytes = prelude.payloadBytes;
    this.received = 0;
    this.digester.reset();
  }

  private take(bytes: number): void {
    if (this.payload) {
      this.digester.update(this.payload.subarray(this.received, this.received + bytes));
      if (!this.taker.wants()) this.payload = null;
    }
    this.received += bytes;
    if (this.inPayload) return;
    const digest = this.payload && this.digester.digest();
    this.payload = null;
    this.ended++;
    this.taker.end(digest);
  }
}
