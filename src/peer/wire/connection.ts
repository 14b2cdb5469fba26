import type { Socket } from 'node:net';
import { InternalError, ShoalError, Unavailable } from '../../errors.js';
import { packFrame } from './frame.js';
import { FrameReader, type FrameTaker } from './frame-reader.js';
import { fileDescriptorOf, type Inlet } from './socket.js';

export interface ConnectionOwner extends FrameTaker {
  /** Whether something is due from the peer, so that silence is a fault. */
  awaits(): boolean;
  /** The connection is over: called once, when nothing of ours is read or written any more. */
  closed(reason: ShoalError): void;
}

/** A payload in the memory of somebody who wants to know when it is not read any more, sent or not. */
export interface Payload {
  readonly bytes: Uint8Array;
  released(): void;
}

/** Frames over one socket, both ways. */
export class Connection implements Inlet {
  private readonly reader: FrameReader;
  private readonly socket: Socket;
  /** To be called when the socket has let go of what was written. */
  private readonly pending = new Set<() => void>();
  private reason: ShoalError | null = null;
  private over = false;

  /** `open` makes the socket, which is to put what comes in into the inlet. */
  constructor(
    open: (inlet: Inlet) => Socket,
    private readonly owner: ConnectionOwner,
    private readonly progressTimeoutMs: number,
  ) {
    this.reader = new FrameReader(owner);
    this.socket = open(this);
    // Node counts a read, and a part of a write that the kernel has taken, as a sign of life.
    this.socket.setTimeout(progressTimeoutMs);
    this.socket.on('timeout', () => this.silent());
    this.socket.on('error', (error) => {
      this.reason ??= new Unavailable(`the connection to a peer broke: ${error.message}`);
    });
    this.socket.on('close', () => this.finish());
  }

  /** Whether frames can still be sent. */
  get open(): boolean {
    return this.reason === null && !this.over && !this.socket.destroyed;
  }

  /** Of the socket; -1 where it has none. */
  get fileDescriptor(): number {
    return fileDescriptorOf(this.socket);
  }

  /** The peer has proved who it is: headers may be of full size from now on. */
  trust(): void {
    this.reader.widen();
  }

  /** Sends a frame. `payload.released` is called exactly once, at the latest before the owner's `closed`. */
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
    const head = packFrame(code, request, header, payload?.bytes.byteLength ?? 0);
    if (!payload) {
      this.socket.write(head, flushed);
      return;
    }
    // Corked, both parts go to the kernel in one call.
    this.socket.cork();
    this.socket.write(head);
    this.socket.write(payload.bytes, flushed);
    this.socket.uncork();
  }

  /** Breaks off at once. */
  close(reason: ShoalError): void {
    this.reason ??= reason;
    this.reader.stop();
    this.socket.destroy();
  }

  /** Sends a last frame, then breaks off. What comes in meanwhile is not looked at. */
  refuse(code: number, header: Uint8Array, reason: ShoalError): void {
    if (!this.open) return;
    this.send(code, 0, header, undefined, () => this.socket.destroy());
    this.reason = reason;
    this.reader.stop();
  }

  target(): Uint8Array {
    return this.reader.target();
  }

  advance(bytes: number): void {
    try {
      this.reader.advance(bytes);
    } catch (error) {
      this.close(error instanceof ShoalError ? error : new InternalError(`reading from a peer failed: ${error}`));
    }
  }

  private silent(): void {
    if (this.pending.size === 0 && !this.reader.midFrame && !this.owner.awaits()) return;
    this.close(new Unavailable(`nothing came from or went to a peer for ${this.progressTimeoutMs} ms`));
  }

  private finish(): void {
    this.over = true;
    // Node calls back for each write before this; a lent block must not depend on it.
    for (const flushed of [...this.pending]) flushed();
    this.owner.closed(this.reason ?? new Unavailable('the peer closed the connection'));
  }
}
