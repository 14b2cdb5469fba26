import type { BlockDigest } from '../../core/block.js';
import { InternalError } from '../../errors.js';
import { FRAME_HEADER_BYTES, HANDSHAKE_FRAME_BYTES, PEER_READ_BYTES } from '../../limits.js';
import { Digester } from './digest.js';
import { checkHeader, PRELUDE_BYTES, type Prelude, readPrelude } from './frame.js';

/** What takes frames as a reader finds them. Each of these may throw: then the bytes that follow mean nothing any more. */
export interface FrameTaker {
  /** Says whether a frame of this type, with these lengths, may come now. Throws if not. */
  admit(prelude: Prelude): void;
  /**
   * The header is here, as it was sent; it is valid during the call only. Gives the memory for the payload, of exactly its length, or null
   * to read past it (as for a frame that has none).
   */
  begin(prelude: Prelude, header: Uint8Array): Uint8Array | null;
  /** Asked after each part of a payload that came into memory: where not, nothing is written there any more, and the rest is read past. */
  wants(): boolean;
  /** The frame is here whole, with the digest of its payload, or null if that was not kept. */
  end(digest: BlockDigest | null): void;
}

/** Bytes beyond a header that are read along with it. Few, as what is payload among them must be copied. */
const READ_AHEAD_BYTES = 2048;

/**
 * Cuts a stream of bytes into frames. Bytes come in by two steps, so that they can be read where they belong: `target` gives the memory
 * for what comes next, `advance` says how much of it has been filled. Knows no socket.
 */
export class FrameReader {
  /** Holds preludes and headers, and the bytes of payloads that are not kept. */
  private scratch = Buffer.allocUnsafe(HANDSHAKE_FRAME_BYTES);
  private filled = 0;
  /** Of the frame whose header is on its way. */
  private prelude: Prelude | null = null;
  private payload: Uint8Array | null = null;
  private payloadBytes = 0;
  private received = 0;
  private stopped = false;
  private readonly digester = new Digester();

  constructor(private readonly taker: FrameTaker) {}

  /** The peer is known: from now on headers may be of full size. */
  widen(): void {
    const wide = Buffer.allocUnsafe(PRELUDE_BYTES + FRAME_HEADER_BYTES);
    this.scratch.copy(wide, 0, 0, this.filled);
    this.scratch = wide;
  }

  /** Nothing that comes from now on is looked at or kept. */
  stop(): void {
    this.stopped = true;
    this.payload = null;
  }

  /** Whether a frame has begun and not ended. */
  get midFrame(): boolean {
    return this.inPayload || this.filled > 0 || this.prelude !== null;
  }

  /** Memory for the bytes that come next; never empty. Valid until `advance`. */
  target(): Uint8Array {
    if (this.stopped) return this.scratch;
    if (this.inPayload) {
      const left = Math.min(this.payloadBytes - this.received, PEER_READ_BYTES);
      return this.payload?.subarray(this.received, this.received + left) ?? this.scratch.subarray(0, left);
    }
    const wanted = this.prelude?.headerBytes ?? PRELUDE_BYTES;
    return this.scratch.subarray(this.filled, Math.max(wanted, this.filled + READ_AHEAD_BYTES));
  }

  /** The first `bytes` of what `target` gave are filled. Throws what the taker throws, and Corrupt or Refused for what is no frame. */
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

  /** Takes all that is in the scratch: whole frames, and the part of a payload that came with its header. */
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
    this.scratch.copyWithin(0, at, this.filled);
    this.filled -= at;
  }

  private readPrelude(at: number): Prelude {
    const prelude = readPrelude(this.scratch.subarray(at, at + PRELUDE_BYTES));
    this.taker.admit(prelude);
    if (prelude.headerBytes > this.scratch.length) {
      throw new InternalError(`a header of ${prelude.headerBytes} bytes was admitted, over the bound`);
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
    this.taker.end(digest);
  }
}
