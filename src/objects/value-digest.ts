import { Digester } from '../digest.js';
import { EXTENT_BYTES } from './extent-pool.js';
import { digestOfExtents, type ExtentDigest } from './object-value.js';

/** The digest of a value, computed from its stream of bytes without keeping them. */
export class ValueDigest {
  private readonly digester = new Digester();
  private readonly extents: ExtentDigest[] = [];
  private pending = 0;
  private total = 0;

  /** Bytes that have passed so far. */
  get bytes(): number {
    return this.total;
  }

  update(bytes: Uint8Array): void {
    this.total += bytes.byteLength;
    for (let at = 0; at < bytes.byteLength; ) {
      const part = bytes.subarray(at, at + EXTENT_BYTES - this.pending);
      this.digester.update(part);
      this.pending += part.byteLength;
      at += part.byteLength;
      if (this.pending === EXTENT_BYTES) this.endExtent();
    }
  }

  /** As `ObjectValue.digest`. Nothing more may pass. */
  digest(): string {
    if (this.pending > 0) this.endExtent();
    return digestOfExtents(this.extents);
  }

  private endExtent(): void {
    this.extents.push(this.digester.digest());
    this.digester.reset();
    this.pending = 0;
  }
}
