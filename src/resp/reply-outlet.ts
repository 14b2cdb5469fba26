import type net from 'node:net';
import type { ReplyShare } from './reply-memory.js';
import type { ReplyWriter } from './reply-writer.js';

/** Sends the replies of one connection, as fast as its client takes them. */

/** Bytes of replies that wait for the client to take them; beyond that its next command waits. */
const UNSENT_BYTES = 2 ** 20;
const NOTHING = Buffer.alloc(0);

export interface ReplyOutletOptions {
  readonly reply: ReplyWriter;
  readonly share: ReplyShare;
  readonly socket: () => net.Socket;
  /** As of `RespSession`. */
  readonly tenant: () => string | null;
  /** Whether bytes are encrypted, and so copied, when they are sent. */
  readonly copies: boolean;
}

export class ReplyOutlet {
  private over = false;
  /** Wake those that wait for the client, or for memory. */
  private waiting: (() => void)[] = [];
  /** Bytes of replies alone that the socket has and the client has not taken. */
  private unsent = 0;
  /** Bytes of the reply's next part. */
  private expected = 0;
  /** Bytes that the command holds for its reply. */
  private reserved = 0;

  constructor(private readonly options: ReplyOutletOptions) {}

  get copies(): boolean {
    return this.options.copies;
  }

  /** Whether the client, or those of all, have too much to take for another command. */
  get full(): boolean {
    this.account();
    return this.options.reply.bytes + this.options.socket().writableLength > UNSENT_BYTES || !this.hasRoom(0);
  }

  /**
   * Sends what was written, and waits until the client has taken most of it, and until there is room for `next` further bytes: those of the next part,
   * which are not in the memory of this process yet. Resolves at once when the connection is over.
   */
  async flush(next = 0): Promise<void> {
    this.expected = 0;
    this.send();
    while (!this.over && (this.options.socket().writableLength > UNSENT_BYTES || !this.hasRoom(next))) {
      await new Promise<void>((resolve) => {
        this.waiting.push(resolve);
        this.options.share.onFreed(resolve);
      });
    }
    this.expected = next;
    this.account();
  }

  /** Counts bytes that the command holds for its reply, in place of those before. False if there is no room for them. */
  reserve(bytes: number): boolean {
    const more = bytes - this.reserved;
    if (more > 0 && !this.hasRoom(more)) return false;
    this.reserved = bytes;
    this.account();
    return true;
  }

  /** The command has ended. As `flush`. */
  async end(): Promise<void> {
    this.reserved = 0;
    await this.flush();
  }

  /** Sends what was written. */
  send(): void {
    const parts = this.options.reply.take();
    if (parts.length === 0) return;
    if (this.over) {
      for (const { release } of parts) release?.();
      return;
    }
    const socket = this.options.socket();
    const own = parts.reduce((sum, part) => sum + (part.own ? part.bytes.byteLength : 0), 0);
    this.unsent += own;
    this.account();
    const taken = () => {
      this.unsent -= own;
      this.account();
      this.wake();
    };
    const [only] = parts;
    // One write of one buffer is cheaper than a vector of two.
    if (parts.length === 1 && only!.release === null) {
      socket.write(only!.bytes, taken);
      return;
    }
    socket.cork();
    for (const { bytes, release } of parts) {
      if (release === null) socket.write(bytes);
      else socket.write(bytes, () => release());
    }
    socket.write(NOTHING, taken);
    socket.uncork();
  }

  /** The connection is closed: what is written is dropped, and nothing waits any more. */
  close(): void {
    this.over = true;
    this.send();
    this.account();
    this.wake();
  }

  private get unsentBytes(): number {
    return this.options.reply.ownBytes + this.unsent;
  }

  private hasRoom(more: number): boolean {
    const { share, tenant } = this.options;
    return share.fits(this.unsentBytes + this.expected + this.reserved + more, this.unsentBytes, tenant());
  }

  private account(): void {
    const { share, tenant } = this.options;
    share.set(this.over ? 0 : this.unsentBytes + this.expected + this.reserved, tenant());
  }

  private wake(): void {
    const { waiting } = this;
    this.waiting = [];
    for (const resolve of waiting) resolve();
  }
}
