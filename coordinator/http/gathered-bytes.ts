/** Chunks of at least this many bytes are kept as they came, and smaller ones are copied together into pieces of this size. */
const PIECE_BYTES = 16 * 2 ** 10;
const NOTHING = Buffer.alloc(0);

/** Bytes that come in chunks of any size, in memory that their number bounds: an array of small buffers has hundreds of bytes for each of them. */
export class GatheredBytes {
  private readonly pieces: Buffer[] = [];
  /** The piece into which small chunks are copied, and the bytes of it that are used. */
  private open = NOTHING;
  private used = 0;

  /** Returns the memory that it took for the chunk, in bytes. */
  add(chunk: Buffer): number {
    if (chunk.byteLength >= PIECE_BYTES || (this.pieces.length === 0 && this.used === 0)) {
      this.close();
      this.pieces.push(chunk);
      return chunk.byteLength;
    }
    const copied = chunk.copy(this.open, this.used);
    this.used += copied;
    if (copied === chunk.byteLength) return 0;
    this.close();
    this.open = Buffer.allocUnsafeSlow(PIECE_BYTES);
    this.used = chunk.copy(this.open, 0, copied);
    return PIECE_BYTES;
  }

  /** All bytes in their order. Ends the gathering. */
  whole(): Buffer {
    this.close();
    return this.pieces.length === 1 ? this.pieces[0]! : Buffer.concat(this.pieces);
  }

  private close(): void {
    if (this.used > 0) this.pieces.push(this.open.subarray(0, this.used));
    this.open = NOTHING;
    this.used = 0;
  }
}
