import { Digester, digestOf } from '../digest.js';
import { InternalError } from '../errors.js';
import { EXTENT_BYTES, giveExtent, takeExtent } from './extent-pool.js';

/** The bytes of an object in extents, each with its digest, and a reference count. */

/** XXH3, 64 bits, in hex. */
export type ExtentDigest = string;

/**
 * A complete, immutable value. It is created with one reference; each later reader holds its own. The
 * memory is reused once the last reference is released.
 */
export class ObjectValue {
  private references = 1;
  /** Ends the memory that the extents are in; null: they are of the pool. */
  private end: (() => void) | null = null;

  /** Extents of `EXTENT_BYTES`; the last one holds the rest. None for the empty value. */
  constructor(
    private parts: readonly Buffer[],
    readonly digests: readonly ExtentDigest[],
    readonly bytes: number,
    private onFreed: (() => void) | null = null,
  ) {}

  /** A value of a few bytes, which are copied. */
  static of(bytes: Uint8Array): ObjectValue {
    const writer = new ValueWriter(bytes.byteLength);
    for (let at = 0; at < bytes.byteLength; ) {
      const target = writer.target();
      const part = bytes.subarray(at, at + target.byteLength);
      target.set(part);
      writer.advance(part.byteLength);
      at += part.byteLength;
    }
    return writer.finish();
  }

  get extents(): readonly Buffer[] {
    return this.parts;
  }

  /** The value's digest: its only extent's digest, or the digest of its extents' digests, concatenated as big-endian 8-byte numbers. */
  get digest(): string {
    return digestOfExtents(this.digests);
  }

  /** Whether only its owner holds a reference. */
  get unread(): boolean {
    return this.references <= 1;
  }

  /** Ends the account on which its memory is, and puts it on another: `onFreed` is called when the memory is free. */
  transfer(onFreed: (() => void) | null): void {
    this.onFreed?.();
    this.onFreed = onFreed;
  }

  /** The bytes are in other memory from now on, which `end` ends. To be called while nobody reads the value. */
  moveTo(extents: readonly Buffer[], end: () => void): void {
    if (!this.unread || this.end !== null)
      throw new InternalError('a value was moved that is being read, or was moved before');
    for (const extent of this.parts) giveExtent(extent);
    this.parts = extents;
    this.end = end;
  }

  hold(): this {
    if (this.references === 0) throw new InternalError('a value was held whose memory is used again');
    this.references++;
    return this;
  }

  release(): void {
    if (this.references === 0) throw new InternalError('a value was released more often than it was held');
    if (--this.references > 0) return;
    if (this.end !== null) this.end();
    else for (const extent of this.parts) giveExtent(extent);
    this.onFreed?.();
  }

  /** The bytes from `from` to before `end`, in pieces that lie in the extents. */
  *pieces(from = 0, end = this.bytes): Generator<Buffer> {
    for (let at = from; at < end; ) {
      const start = at % EXTENT_BYTES;
      const extent = this.extents[(at - start) / EXTENT_BYTES]!;
      const piece = extent.subarray(start, Math.min(extent.byteLength, start + end - at));
      yield piece;
      at += piece.byteLength;
    }
  }

  /** A copy of the bytes from `from` to before `end`, in one piece. */
  copy(from = 0, end = this.bytes): Buffer {
    return Buffer.concat([...this.pieces(from, end)]);
  }
}

/** The digest of a value with these extents. */
export function digestOfExtents(digests: readonly ExtentDigest[]): string {
  if (digests.length === 1) return digests[0]!;
  return digestOf(Buffer.from(digests.join(''), 'hex'));
}

/** Takes the bytes of a value of known length straight into extents, with their digests taken on the way. */
export class ValueWriter {
  private readonly extents: Buffer[] = [];
  private readonly digests: ExtentDigest[] = [];
  private readonly digester = idleDigesters.pop() ?? new Digester();
  private received = 0;
  private over = false;

  /** @param onMemory called before memory for this many bytes is taken; its errors reach the caller of `target` */
  constructor(
    private length: number,
    private readonly onMemory: ((bytes: number) => void) | null = null,
    private readonly onFreed: (() => void) | null = null,
  ) {}

  get bytes(): number {
    return this.length;
  }

  /** Bytes that are still to come. */
  get missing(): number {
    return this.bytes - this.received;
  }

  /** Memory for the next bytes, up to the end of an extent; empty once all have come. */
  target(): Buffer {
    const start = this.received % EXTENT_BYTES;
    if (start === 0 && this.missing > 0 && this.extents.length * EXTENT_BYTES === this.received) {
      const bytes = Math.min(EXTENT_BYTES, this.missing);
      this.onMemory?.(bytes);
      this.extents.push(takeExtent(bytes));
    }
    return this.missing === 0 ? NOTHING : this.extents.at(-1)!.subarray(start);
  }

  /** The first `bytes` of what `target` gave are filled. */
  advance(bytes: number): void {
    const extent = this.extents.at(-1)!;
    const start = this.received % EXTENT_BYTES;
    this.digester.update(extent.subarray(start, start + bytes));
    this.received += bytes;
    if (start + bytes < extent.byteLength) return;
    this.digests.push(this.digester.digest());
    this.digester.reset();
  }

  /** Takes over a whole extent whose digest is known. */
  adopt(extent: Buffer, digest: ExtentDigest): void {
    const due = Math.min(EXTENT_BYTES, this.missing);
    if (extent.byteLength !== due || this.extents.length * EXTENT_BYTES !== this.received) {
      throw new InternalError(`an extent of ${extent.byteLength} bytes was adopted where ${due} were due`);
    }
    this.onMemory?.(due);
    this.extents.push(extent);
    this.digests.push(digest);
    this.received += due;
  }

  /** The value of the bytes that have come, where their number was not known. */
  finishEarly(): ObjectValue {
    this.length = this.received;
    const used = this.received % EXTENT_BYTES;
    if (used > 0 && this.digests.length < this.extents.length) {
      const last = this.extents.pop()!;
      const tail = takeExtent(used);
      last.copy(tail, 0, 0, used);
      giveExtent(last);
      this.extents.push(tail);
      this.digests.push(this.digester.digest());
    }
    return this.finish();
  }

  /** The value, once all bytes have come. */
  finish(): ObjectValue {
    if (this.missing > 0 || this.over) throw new InternalError(`a value lacks ${this.missing} of ${this.bytes} bytes`);
    this.over = true;
    this.leaveDigester();
    return new ObjectValue(this.extents, this.digests, this.bytes, this.onFreed);
  }

  /** Gives the memory back. Nothing may be written into it any more. Idempotent, and without effect after `finish`. */
  abort(): void {
    if (this.over) return;
    this.over = true;
    this.leaveDigester();
    for (const extent of this.extents.splice(0)) giveExtent(extent);
    this.onFreed?.();
  }

  private leaveDigester(): void {
    this.digester.reset();
    if (idleDigesters.length < IDLE_DIGESTERS) idleDigesters.push(this.digester);
  }
}

/** Making a digester takes longer than digesting a small value. */
const idleDigesters: Digester[] = [];
const IDLE_DIGESTERS = 64;
const NOTHING = Buffer.alloc(0);
