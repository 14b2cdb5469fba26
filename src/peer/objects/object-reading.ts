import { digestOf } from '../../digest.js';
import { EXTENT_BYTES } from '../../objects/extent-pool.js';
import type { ReadOutcome } from '../../objects/object-node.js';
import type { ObjectValue } from '../../objects/object-value.js';
import { failureOf } from '../wire/message-format.js';
import type { ObjectReply } from './object-session.js';

/** Pieces that are sent before the reader has taken any. */
export const READ_WINDOW = 4;

/** Sends one object to a peer, as fast as the peer takes its pieces. */
export class ObjectReading {
  private credit = READ_WINDOW;
  private over = false;
  private wake: (() => void) | null = null;

  constructor(private readonly reply: ObjectReply) {}

  /** The reader has taken so many pieces. */
  more(pieces: number): void {
    this.credit += pieces;
    this.wake?.();
  }

  stop(): void {
    this.over = true;
    this.wake?.();
  }

  /** Sends what `read` gives. Never rejects. */
  async run(read: () => Promise<ReadOutcome>): Promise<void> {
    try {
      const outcome = await read();
      if (outcome.type === 'absent') return this.reply.finish({ type: 'absent' });
      if (outcome.type === 'same') return this.reply.finish({ type: 'same', info: outcome.info });
      this.reply.send({ type: 'found', info: outcome.info });
      if (outcome.type === 'here') await this.sendValue(outcome.value);
      else await this.sendBody(outcome.body);
      this.reply.finish({ type: 'done' });
    } catch (error) {
      this.reply.finish({ type: 'error', ...failureOf(error) });
    }
  }

  private async sendValue(value: ObjectValue): Promise<void> {
    try {
      for (const [index, extent] of value.extents.entries()) {
        if (!(await this.mayGoOn())) return;
        this.send(extent, value.digests[index]!, value.hold());
      }
    } finally {
      value.release();
    }
  }

  private async sendBody(body: Extract<ReadOutcome, { type: 'found' }>['body']): Promise<void> {
    try {
      for (let piece = await body.next(); piece !== null; piece = await body.next()) {
        if (!(await this.mayGoOn())) {
          piece.release();
          return;
        }
        this.send(piece.bytes.subarray(0, EXTENT_BYTES), digestOf(piece.bytes), piece);
      }
    } finally {
      body.close();
    }
  }

  private send(bytes: Buffer, digest: string, memory: { release(): void }): void {
    this.credit--;
    this.reply.send(
      { type: 'piece', digest },
      {
        bytes,
        released: () => {
          memory.release();
          this.reply.payloads.release();
        },
      },
    );
  }

  /** Waits until the reader and the socket take another piece. False if nobody needs it. */
  private async mayGoOn(): Promise<boolean> {
    while (this.credit <= 0 && !this.over) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      this.wake = null;
    }
    if (this.over) return false;
    return this.reply.payloads.acquire();
  }
}
