import type { FileHandle } from 'node:fs/promises';
import { Corrupt } from '../../src/errors.js';
import { ValueDigest } from '../../src/objects/value-digest.js';
import {
  ARCHIVE_MAGIC,
  type ArchivedObject,
  type ArchiveHead,
  decodeHead,
  headBytes,
  LEAD_BYTES,
} from './archive-head.js';

/** Bytes of an object that are in memory at a time. */
const PART_BYTES = 256 * 1024;

export interface ArchiveRecord {
  readonly head: ArchiveHead;
  /** Where the bytes of its object begin, and where the next record does. */
  readonly valueAt: number;
  readonly nextAt: number;
}

/** Reads a file of objects at any place. Several readers of values may run at once. */
export class ArchiveReader {
  constructor(private readonly file: FileHandle) {}

  /**
   * The records in order, without reading the bytes of objects. They end with `end`, or where the file was cut off: in the middle of a record, or before
   * one.
   * @throws Corrupt if it is another file, or if a head is damaged
   */
  async *records(): AsyncGenerator<ArchiveRecord> {
    const { size } = await this.file.stat();
    const magic = await this.read(0, ARCHIVE_MAGIC.byteLength, size);
    if (magic === null || !magic.equals(ARCHIVE_MAGIC)) throw new Corrupt('it is not a file of shoal kv export');
    for (let at = ARCHIVE_MAGIC.byteLength; ; ) {
      const lead = await this.read(at, LEAD_BYTES, size);
      if (lead === null) return;
      const text = await this.read(at + LEAD_BYTES, headBytes(lead), size);
      if (text === null) return;
      const head = decodeHead(lead, text);
      const valueAt = at + LEAD_BYTES + text.byteLength;
      const nextAt = valueAt + (head.type === 'object' ? head.bytes : 0);
      if (nextAt > size) return;
      yield { head, valueAt, nextAt };
      if (head.type === 'end') return;
      at = nextAt;
    }
  }

  /** The bytes of an object. The last of them come once the digest of all is known to be right. @throws Corrupt if it is wrong */
  async *value({ bytes, digest }: ArchivedObject, valueAt: number): AsyncGenerator<Buffer> {
    const found = new ValueDigest();
    for (let at = 0; at < bytes; at += PART_BYTES) {
      const part = await this.read(valueAt + at, Math.min(PART_BYTES, bytes - at), valueAt + bytes);
      if (part === null) throw new Corrupt('the file has become shorter');
      found.update(part);
      if (found.bytes === bytes) checkFound(found, digest);
      yield part;
    }
  }

  /** Null if the file ends earlier. */
  private async read(at: number, bytes: number, end: number): Promise<Buffer | null> {
    if (at + bytes > end) return null;
    const buffer = Buffer.allocUnsafe(bytes);
    for (let filled = 0; filled < bytes; ) {
      const { bytesRead } = await this.file.read(buffer, filled, bytes - filled, at + filled);
      if (bytesRead === 0) return null;
      filled += bytesRead;
    }
    return buffer;
  }
}

function checkFound(found: ValueDigest, digest: string): void {
  const is = found.digest();
  if (is !== digest) throw new Corrupt(`an object has the digest ${is}, and had ${digest} when it was written`);
}
