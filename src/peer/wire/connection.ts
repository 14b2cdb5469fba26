import type { Clock, Timer } from '../../clock.js';
import { InternalError, ShoalError, Unavailable, Unheard } from '../../errors.js';
import { FrameReader, type FrameTaker, packFrame } from './frame.js';
import type { PeerIdentity } from './handshake.js';
import { type Direction, ERROR, failureOf } from './message-format.js';
import { fileDescriptorOf, type Inlet, type PeerSocket } from './socket.js';

/** Frames over one socket, both ways, and the owner that receives them. */

/**
 * A frame that does not end within `progressTimeoutMs` must come in at this rate at least. Else a peer that sends a byte now and then would keep the
 * memory of a frame for hours. @internal exported for tests.
 */
export const LEAST_BYTES_PER_MS = 4;

/** Receives the frames of a connection, and its end. */
export interface ConnectionOwner extends FrameTaker {
  /** Whether the peer owes a frame, so that silence is a fault. */
  awaits(): boolean;
  /** The connection is over. Called once, when no memory of this side is read or written any more. */
  closed(reason: ShoalError): void;
}

/** Errors of the system when no process listens at an address. */
const NOBODY = new Set(['ECONNREFUSED', 'ENOENT']);

/** Whether a connection ended because no process listens at the address that was dialled. */
export function nobodyListens({ cause }: ShoalError): boolean {
  return cause instanceof Error && 'code' in cause && NOBODY.has(String(cause.code));
}

/** Bytes to send, in memory whose owner needs to know when the socket has let go of them. */
export interface Payload {
  readonly bytes: Uint8Array;
  /** The bytes are not read any more, whether they were sent or not. */
  released(): void;
}

/**
 * Limit on the bytes of payloads that the socket is given in one turn of the event loop. Node gives the kernel all that waits in one call, which
 * copies it, and goes on at once if the kernel had room, so that blocks would delay messages of other connections.
 */
const TURN_BYTES = 256 * 1024;

/** A payload that is being written in parts. */
interface Writing {
  readonly payload: Uint8Array;
  /** The next part begins here. */
  from: number;
  /** The kernel has taken the parts before. */
  taken: boolean;
  readonly flushed: () => void;
}

/** A frame on its way to the socket. */
interface Outgoing {
  readonly head: Uint8Array;
  readonly payload: Uint8Array | null;
  readonly flushed: () => void;
}

export interface ConnectionOptions {
  /** Makes the socket, which puts incoming bytes into the inlet. */
  readonly open: (inlet: Inlet) => PeerSocket;
  /** Time after which a connection is closed if something is due and nothing moves, or a frame comes in too slowly. */
  readonly progressTimeoutMs: number;
  readonly clock: Clock;
  /** The connection is over, and its owner has been told. */
  readonly onClosed?: ((reason: ShoalError) => void) | undefined;
}

/**
 * Frames over one socket, both ways. The owner receives them: first the greeting of either side, then, by `handTo`, the link or session that
 * serves the purpose of the connection.
 */
export class Connection implements Inlet {
  private readonly reader: FrameReader;
  private readonly socket: PeerSocket;
  /** Called when the socket has let go of what was written. */
  private readonly pending = new Set<() => void>();
  private reason: ShoalError | null = null;
  private over = false;
  /** Frames for one write at the end of this turn of the event loop. */
  private gathered: Uint8Array[] = [];
  private gatheredBytes = 0;
  /** Frames that wait for the payload that is being written in parts. */
  private readonly waiting: Outgoing[] = [];
  /** Bytes that the socket has not been given, of those frames and of that payload. */
  private waitingBytes = 0;
  private writing: Writing | null = null;
  /** Bytes of payloads that the socket was given in this turn of the event loop. */
  private turnBytes = 0;
  private provedPeer: PeerIdentity | null = null;
  private readonly pacing: Timer;
  /** Of the frame that was coming in when the pace was checked last; and bytes since then. */
  private pacedFrame = -1;
  private pacedBytes = 0;

  constructor(
    private readonly options: ConnectionOptions,
    private owner: ConnectionOwner,
  ) {
    this.reader = new FrameReader(owner);
    this.socket = options.open(this);
    // Node counts a read, and a part of a write that the kernel has taken, as a sign of life.
    this.socket.setTimeout(options.progressTimeoutMs);
    this.socket.on('timeout', () => this.silent());
    this.socket.on('error', (error) => {
      this.reason ??= new Unavailable(`the connection to a peer broke: ${error.message}`, { cause: error });
    });
    this.socket.on('close', () => this.finish());
    this.pacing = options.clock.every(options.progressTimeoutMs, () => this.checkPace());
  }

  /** Whether frames can still be sent. */
  get open(): boolean {
    return this.reason === null && !this.over && !this.socket.destroyed;
  }

  /** The other end; null until it has proved that it knows the secret. */
  get peer(): PeerIdentity | null {
    return this.provedPeer;
  }

  /** Whether the other end has sent anything. */
  get heard(): boolean {
    return this.reader.frames > 0 || this.reader.midFrame;
  }

  /** The file descriptor of the socket; -1 where it has none. */
  get fileDescriptor(): number {
    return fileDescriptorOf(this.socket);
  }

  /** The peer has proved its identity: the next frame goes to `owner`, and headers may be of full size. */
  handTo(owner: ConnectionOwner, peer: PeerIdentity): void {
    this.owner = owner;
    this.provedPeer = peer;
    this.reader.handTo(owner);
  }

  /** Sends a message as a frame; see `send`. */
  say<M extends { type: string }>(
    direction: Direction<M>,
    request: number,
    message: M,
    payload?: Payload,
    sent?: () => void,
  ): void {
    const { code, header } = direction.pack(message);
    this.send(code, request, header, payload, sent);
  }

  /**
   * Sends a frame. `payload.released`, and then `sent`, are called exactly once: when the socket has taken the frame, or the connection is over,
   * and before the owner's `closed`.
   */
  send(code: number, request: number, header: Uint8Array, payload?: Payload, sent?: () => void): void {
    const flushed = () => {
      if (!this.pending.delete(flushed)) return;
      payload?.released();
      sent?.();
    };
    this.pending.add(flushed);
    if (!this.open) {
      flushed();
      return;
    }
    this.writeGathered();
    const head = packFrame(code, request, header, payload?.bytes.byteLength ?? 0);
    this.enqueue({ head, payload: payload?.bytes ?? null, flushed });
  }

  /** Sends a frame without a payload, in one write with all others of this turn of the event loop. */
  gather(code: number, request: number, header: Uint8Array): void {
    if (!this.open) return;
    if (this.gathered.length === 0) setImmediate(() => this.writeGathered());
    const frame = packFrame(code, request, header, 0);
    this.gathered.push(frame);
    this.gatheredBytes += frame.byteLength;
  }

  /** Bytes that wait in this process for the kernel to take them. */
  get queuedBytes(): number {
    return this.socket.writableLength + this.gatheredBytes + this.waitingBytes;
  }

  /** Reads up to this many bytes beyond a header along with it, for connections whose frames are mostly small. */
  readAhead(bytes: number): void {
    this.reader.readAhead(bytes);
  }

  /** Closes at once. What was gathered in this turn of the event loop is still given to the kernel. */
  close(reason: ShoalError): void {
    this.writeGathered();
    this.reason ??= reason;
    this.reader.stop();
    this.socket.destroy();
  }

  /** Sends `error` with request 0, then closes. Frames that come in meanwhile are discarded. */
  refuse(reason: ShoalError): void {
    if (!this.open) return;
    this.send(ERROR.code, 0, ERROR.pack(failureOf(reason)), undefined, () => this.socket.destroy());
    this.reason = reason;
    this.reader.stop();
  }

  target(): Uint8Array {
    return this.reader.target();
  }

  advance(bytes: number): void {
    this.pacedBytes += bytes;
    try {
      this.reader.advance(bytes);
    } catch (error) {
      this.close(error instanceof ShoalError ? error : new InternalError(`cannot read from a peer: ${error}`));
    }
  }

  private writeGathered(): void {
    const { gathered, gatheredBytes } = this;
    const [first] = gathered;
    if (!first) return;
    this.gathered = [];
    this.gatheredBytes = 0;
    const head = gathered.length === 1 ? first : Buffer.concat(gathered, gatheredBytes);
    if (this.open) this.enqueue({ head, payload: null, flushed: () => undefined });
  }

  private enqueue(frame: Outgoing): void {
    this.waiting.push(frame);
    this.waitingBytes += frame.head.byteLength + (frame.payload?.byteLength ?? 0);
    this.writeWaiting();
  }

  private writeWaiting(): void {
    while (this.writing === null && this.turnBytes < TURN_BYTES) {
      const frame = this.waiting.shift();
      if (!frame) return;
      const { head, payload, flushed } = frame;
      this.waitingBytes -= head.byteLength;
      if (payload === null) {
        this.socket.write(head, flushed);
        continue;
      }
      // Corked, both go to the kernel in one call.
      this.socket.cork();
      this.socket.write(head);
      this.writePart({ payload, from: 0, taken: true, flushed });
      this.socket.uncork();
    }
  }

  /** Writes as much of a payload as this turn allows. The last part may be followed by other frames at once. */
  private writePart(writing: Writing): void {
    const { payload, from, flushed } = writing;
    const end = Math.min(from + TURN_BYTES - this.turnBytes, payload.byteLength);
    const part = payload.subarray(from, end);
    this.waitingBytes -= part.byteLength;
    if (this.turnBytes === 0) setImmediate(() => this.nextTurn());
    this.turnBytes += part.byteLength;
    if (end === payload.byteLength) {
      this.writing = null;
      this.socket.write(part, flushed);
      return;
    }
    writing.from = end;
    writing.taken = false;
    this.writing = writing;
    this.socket.write(part, () => {
      writing.taken = true;
      this.goOn();
    });
  }

  private nextTurn(): void {
    this.turnBytes = 0;
    this.goOn();
  }

  /** Goes on to write, if there is something that may be written in this turn. */
  private goOn(): void {
    if (this.over || this.socket.destroyed || this.turnBytes >= TURN_BYTES) return;
    if (this.writing?.taken) this.writePart(this.writing);
    this.writeWaiting();
  }

  private checkPace(): void {
    const { frames, midFrame } = this.reader;
    const slow = this.pacedBytes < LEAST_BYTES_PER_MS * this.options.progressTimeoutMs;
    const same = midFrame && this.pacedFrame === frames;
    this.pacedFrame = midFrame ? frames : -1;
    this.pacedBytes = 0;
    if (!same || !slow) return;
    this.close(
      new Unavailable(
        `a peer did not end a frame within ${this.options.progressTimeoutMs} ms, and sent few bytes of it`,
      ),
    );
  }

  private silent(): void {
    if (this.pending.size === 0 && this.queuedBytes === 0 && !this.reader.midFrame && !this.owner.awaits()) return;
    this.close(new Unheard(`no bytes came from or went to a peer for ${this.options.progressTimeoutMs} ms`));
  }

  private finish(): void {
    this.over = true;
    this.pacing.cancel();
    // Node calls back for each write before this; a pinned block must not depend on that.
    for (const flushed of [...this.pending]) flushed();
    const reason = this.reason ?? new Unavailable('the peer closed the connection');
    this.owner.closed(reason);
    this.options.onClosed?.(reason);
  }
}
