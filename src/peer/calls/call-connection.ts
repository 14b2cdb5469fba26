import type { CallLink } from '../../actors/links.js';
import type { Clock, Timer } from '../../clock.js';
import { Corrupt, fromWire, InvalidRequest, Overloaded, type ShoalError, Unavailable, Unheard } from '../../errors.js';
import { BUS_MESSAGE_BYTES, FRAME_HEADER_BYTES } from '../../limits.js';
import type { Connection, ConnectionOwner } from '../wire/connection.js';
import type { Prelude } from '../wire/frame.js';
import type { PeerIdentity } from '../wire/handshake.js';
import { ERROR } from '../wire/message-format.js';

/** A connection that carries messages of actors, the same on the dialling and on the dialled side. */

/** Codes of frames. `message` has its bytes as the header if they fit, else as the payload; `beat` says that its sender lives. */
const MESSAGE = 64;
const BEAT = 65;
/** A side that sends nothing else sends a beat this often. A connection on which nothing arrives for the second time is closed. */
const BEAT_INTERVAL_MS = 1_000;
const SILENCE_MS = 4_000;
/** Bytes that wait in this process for the socket to take them. */
const PENDING_BYTES = 64 * 2 ** 20;
/** Bytes that wait here, or came in between two beats, from which on a connection is crowded. */
const CROWD_BYTES = 2 ** 20;
/** A burst of small messages is read at once. */
const READ_AHEAD_BYTES = 32 * 1024;

const NO_HEADER = new Uint8Array(0);

export interface CallConnectionListener {
  /** The bytes are valid during the call only. */
  received(link: CallConnection, message: Uint8Array): void;
  closed(link: CallConnection, reason: ShoalError): void;
}

export class CallConnection implements CallLink, ConnectionOwner {
  readonly peer: { readonly node: string; readonly incarnation: string };
  private readonly beating: Timer;
  private payload: Uint8Array | null = null;
  private failure: ShoalError | null = null;
  private sentSinceBeat = false;
  private receivedMs: number;
  private beatMs: number;
  /** Since the last beat. */
  private receivedBytes = 0;
  private crowdedSinceBeat = false;
  private over = false;

  constructor(
    private readonly connection: Connection,
    peer: PeerIdentity,
    private readonly clock: Clock,
    private readonly listener: CallConnectionListener,
    private readonly silenceMs = SILENCE_MS,
  ) {
    this.peer = { node: peer.id, incarnation: peer.incarnation };
    this.receivedMs = clock.now();
    this.beatMs = this.receivedMs;
    this.beating = clock.every(BEAT_INTERVAL_MS, () => this.beat());
    connection.readAhead(READ_AHEAD_BYTES);
  }

  get open(): boolean {
    return !this.over && this.connection.open;
  }

  /** When something last came from the peer, which sends beats if nothing else. */
  get heardMs(): number {
    return this.receivedMs;
  }

  /** What the peer sends waits in its process, which only the bytes that come in show. */
  get crowded(): boolean {
    return this.crowdedSinceBeat || this.receivedBytes > CROWD_BYTES || this.connection.queuedBytes > CROWD_BYTES;
  }

  send(message: Uint8Array): void {
    const { connection, peer } = this;
    if (!this.open) throw new Unavailable(`cannot send to ${peer.node}: the connection is closed`);
    if (message.byteLength > BUS_MESSAGE_BYTES) {
      throw new InvalidRequest(
        `cannot send ${message.byteLength} bytes to ${peer.node}: a message has at most ${BUS_MESSAGE_BYTES}; store large values with fleet.put, and send references to them`,
      );
    }
    if (connection.queuedBytes > PENDING_BYTES) {
      throw new Overloaded(`cannot send to ${peer.node}: ${connection.queuedBytes} bytes wait for it already`);
    }
    this.sentSinceBeat = true;
    if (message.byteLength <= FRAME_HEADER_BYTES) connection.gather(MESSAGE, 0, message);
    else connection.send(MESSAGE, 0, NO_HEADER, { bytes: message, released: () => undefined });
  }

  close(reason: ShoalError): void {
    this.connection.close(reason);
  }

  admit({ type, request, headerBytes, payloadBytes }: Prelude): void {
    if (request !== 0) throw new Corrupt(`a peer sent request ${request} on a connection for calls; only 0 is allowed`);
    if (headerBytes > FRAME_HEADER_BYTES || payloadBytes > BUS_MESSAGE_BYTES) {
      throw new Corrupt(`a peer sent a message of ${headerBytes + payloadBytes} bytes, over the limit`);
    }
    const allowed =
      (type === MESSAGE && headerBytes > 0 !== payloadBytes > 0) ||
      (type === BEAT && headerBytes === 0 && payloadBytes === 0) ||
      (type === ERROR.code && payloadBytes === 0);
    if (!allowed) throw new Corrupt(`a peer sent a frame of type ${type} that no connection for calls has`);
  }

  begin({ type, payloadBytes }: Prelude, header: Uint8Array): Uint8Array | null {
    this.receivedMs = this.clock.now();
    this.receivedBytes += header.byteLength + payloadBytes;
    if (type === ERROR.code) this.failure = fromWire(ERROR.read(header));
    else if (type === MESSAGE && payloadBytes > 0) this.payload = Buffer.allocUnsafe(payloadBytes);
    else if (type === MESSAGE) this.listener.received(this, header);
    return this.payload;
  }

  wants(): boolean {
    this.receivedMs = this.clock.now();
    return true;
  }

  end(): void {
    if (this.failure) throw this.failure;
    const { payload } = this;
    this.payload = null;
    if (payload) this.listener.received(this, payload);
  }

  /** Silence is judged by the beats. */
  awaits(): boolean {
    return false;
  }

  closed(reason: ShoalError): void {
    this.over = true;
    this.beating.cancel();
    this.listener.closed(this, reason);
  }

  private beat(): void {
    const nowMs = this.clock.now();
    // A process that stood still has not read what its peer sent.
    if (nowMs - this.beatMs > 2 * BEAT_INTERVAL_MS) this.receivedMs = nowMs;
    this.beatMs = nowMs;
    this.crowdedSinceBeat = this.receivedBytes > CROWD_BYTES || this.connection.queuedBytes > CROWD_BYTES;
    this.receivedBytes = 0;
    if (nowMs - this.receivedMs >= this.silenceMs) {
      this.close(new Unheard(`nothing came from ${this.peer.node} for ${this.silenceMs} ms`));
      return;
    }
    if (!this.sentSinceBeat) this.connection.send(BEAT, 0, NO_HEADER);
    this.sentSinceBeat = false;
  }
}
