import type { ObjectValue } from '../objects/object-value.js';

/** Writes replies in the Redis serialization protocol, version 2 or 3. Values are passed on in the memory in which they are. Knows no socket. */

/** Bytes to write, and what lets go of their memory. */
export interface ReplyPart {
  readonly bytes: Buffer;
  readonly release: (() => void) | null;
  /** Whether the bytes belong to the reply alone, and not to a value that this process keeps anyway. */
  readonly own: boolean;
}

const CHUNK_BYTES = 16 * 1024;
/** A value of fewer bytes is copied: that costs less than a separate part. */
const COPIED_BYTES = 8 * 1024;
const HEAD_BYTES = 64;

export type RespVersion = 2 | 3;

export class ReplyWriter {
  version: RespVersion = 2;
  private parts: ReplyPart[] = [];
  private chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  private from = 0;
  private used = 0;
  private pending = 0;
  private pendingOwn = 0;

  /** Bytes that have not been taken. */
  get bytes(): number {
    return this.pending + this.used - this.from;
  }

  /** Those of them that belong to the replies alone. */
  get ownBytes(): number {
    return this.pendingOwn + this.used - this.from;
  }

  /** All that was written since the last call. */
  take(): ReplyPart[] {
    this.closePart();
    const { parts } = this;
    this.parts = [];
    this.pending = 0;
    this.pendingOwn = 0;
    return parts;
  }

  simple(text: string): void {
    this.line('+', text);
  }

  /** The text begins with a code in capitals. It must not contain a client's text, unless `printableText` has made that harmless. */
  error(text: string): void {
    this.line('-', text);
  }

  integer(value: number): void {
    this.line(':', String(value));
  }

  null(): void {
    this.raw(this.version === 3 ? '_\r\n' : '$-1\r\n');
  }

  array(length: number): void {
    this.line('*', String(length));
  }

  /** A map with so many keys, each followed by its value. */
  map(keys: number): void {
    if (this.version === 3) this.line('%', String(keys));
    else this.array(2 * keys);
  }

  /** A short text, or bytes that are copied. */
  bulk(content: string | Buffer): void {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    this.bulkHead(bytes.byteLength);
    this.copy(bytes);
    this.raw('\r\n');
  }

  /** A value, or a part of it. Takes over a reference to it. */
  value(value: ObjectValue, from = 0, end = value.bytes): void {
    this.bulkHead(end - from);
    if (end - from <= COPIED_BYTES) {
      for (const piece of value.pieces(from, end)) this.copy(piece);
      value.release();
    } else {
      for (const piece of value.pieces(from, end)) this.push(piece, null, false);
      this.part(EMPTY, () => value.release());
    }
    this.raw('\r\n');
  }

  /** The beginning of a bulk string of this many bytes; `part`s and `bulkEnd` follow. */
  bulkHead(bytes: number): void {
    this.line('$', String(bytes));
  }

  part(bytes: Buffer, release: (() => void) | null): void {
    this.push(bytes, release, true);
  }

  bulkEnd(): void {
    this.raw('\r\n');
  }

  private line(type: string, text: string): void {
    this.raw(`${type}${text}\r\n`);
  }

  private raw(text: string): void {
    if (text.length > HEAD_BYTES) {
      this.copy(Buffer.from(text));
      return;
    }
    // Four bytes a character at most.
    if (this.chunk.byteLength - this.used < 4 * text.length) this.nextChunk();
    this.used += this.chunk.write(text, this.used);
  }

  private copy(bytes: Buffer): void {
    if (bytes.byteLength > this.chunk.byteLength - this.used) {
      this.nextChunk();
      if (bytes.byteLength > CHUNK_BYTES / 2) {
        this.part(bytes, null);
        return;
      }
    }
    this.used += bytes.copy(this.chunk, this.used);
  }

  private nextChunk(): void {
    this.closePart();
    this.chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    this.from = 0;
    this.used = 0;
  }

  private push(bytes: Buffer, release: (() => void) | null, own: boolean): void {
    this.closePart();
    this.append(bytes, release, own);
  }

  private append(bytes: Buffer, release: (() => void) | null, own: boolean): void {
    this.parts.push({ bytes, release, own });
    this.pending += bytes.byteLength;
    if (own) this.pendingOwn += bytes.byteLength;
  }

  private closePart(): void {
    if (this.used === this.from) return;
    const bytes = this.chunk.subarray(this.from, this.used);
    this.from = this.used;
    this.append(bytes, null, true);
    if (this.chunk.byteLength - this.used < HEAD_BYTES) this.nextChunk();
  }
}

const EMPTY = Buffer.alloc(0);

/** A client's bytes in an error: short, and without line breaks that could fake another line. */
export function printableText(bytes: Buffer, mostChars = 128): string {
  return bytes
    .subarray(0, mostChars)
    .toString('latin1')
    .replace(/[^\x20-\x7e]/g, ' ');
}
