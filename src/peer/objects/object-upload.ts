import type { BlockDigest } from '../../core/block.js';
import { Corrupt, Overloaded, type ShoalError } from '../../errors.js';
import { EXTENT_BYTES, giveExtent, takeExtent } from '../../objects/extent-pool.js';
import type { ObjectSize } from '../../objects/object.js';
import type { ObjectName } from '../../objects/object-name.js';
import type { CopyOutcome, ObjectHost, Room, WriteOutcome } from '../../objects/object-node.js';
import { ValueWriter } from '../../objects/object-value.js';
import { failureOf } from '../wire/message-format.js';
import type { ObjectClientMessage, ObjectServerMessage } from './object-messages.js';

export type UploadedObject = Extract<ObjectClientMessage, { type: 'write' | 'copy' }>;

/** An object that a peer sends in parts, straight into the memory in which it stays. Where there is no room, the parts are discarded. */
export class ObjectUpload {
  private readonly writer: ValueWriter;
  private readonly room: Room | null;
  private part: Buffer | null = null;
  private missing: number;
  private refusal: ShoalError | null;
  /** Whether the peer gets, or got, an error instead of an answer. */
  readonly refused: boolean;
  private over = false;

  /** @param refusal why the object is not taken at all; null if it is */
  constructor(
    private readonly host: ObjectHost,
    private readonly name: ObjectName,
    private readonly message: UploadedObject,
    size: ObjectSize,
    refusal: ShoalError | null,
  ) {
    const { bytes } = size;
    this.writer = new ValueWriter(bytes);
    this.missing = bytes;
    this.room = refusal === null ? host.reserve(name, size) : null;
    this.refusal =
      this.room === null ? (refusal ?? new Overloaded(`no room for an object of ${bytes} bytes; retry later`)) : null;
    this.refused = this.refusal !== null;
  }

  /** Whether parts are still to come. */
  get awaits(): boolean {
    return this.missing > 0;
  }

  get complete(): boolean {
    return this.missing === 0;
  }

  /** The message that says why the object is not taken, once; null if there is nothing to say. */
  takeRefusal(): ObjectServerMessage | null {
    const { refusal, message } = this;
    this.refusal = null;
    if (refusal === null) return null;
    // For the home that makes the copy this is not a failure.
    if (message.type === 'copy' && refusal.code === 'overloaded') return { type: 'answer', value: { type: 'full' } };
    return { type: 'error', ...failureOf(refusal) };
  }

  /** Memory for the next part; null to discard it. @throws Corrupt for a part of the wrong length */
  target(bytes: number): Buffer | null {
    const due = Math.min(EXTENT_BYTES, this.missing);
    if (bytes !== due) throw new Corrupt(`a peer sent a part of ${bytes} bytes where ${due} were due`);
    this.part = this.refused ? null : takeExtent(due);
    if (this.refused) this.missing -= due;
    return this.part;
  }

  /** The part has come. @throws Corrupt if its bytes do not match its digest */
  filled(expected: BlockDigest, digest: BlockDigest | null): void {
    const { part } = this;
    if (part === null) return;
    this.part = null;
    if (digest !== expected) {
      giveExtent(part);
      throw new Corrupt('a part of an object does not match its digest');
    }
    this.missing -= part.byteLength;
    this.writer.adopt(part, expected);
  }

  /** Stores the whole object. */
  async store(signal: AbortSignal): Promise<WriteOutcome | CopyOutcome> {
    const { host, name, message, writer, room } = this;
    this.over = true;
    const value = writer.finish();
    try {
      if (message.type === 'write') {
        const { contentType, fields, token, expiry, condition } = message;
        return await host.write(name, value, { contentType, fields, token, expiry, condition }, signal, room!);
      }
      const { info } = message;
      if (info.digest !== value.digest) throw new Corrupt('an object does not match its digest');
      return await host.take({ type: 'value', name, info, value }, signal, room!);
    } finally {
      value.release();
      room?.free();
    }
  }

  /** No more parts come. */
  abort(): void {
    if (this.over) return;
    this.over = true;
    if (this.part !== null) giveExtent(this.part);
    this.part = null;
    this.writer.abort();
    this.room?.free();
  }
}
