import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { Corrupt } from '../../errors.js';

/** Random access to bytes, of an array or of a file that is read only in part. */
export interface ByteSource {
  readonly length: number;
  /** Bytes `[start, end)`, which must lie within the source. Valid until the next call. */
  read(start: number, end: number): Uint8Array;
}

/** An array as a source, without a copy. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return { length: bytes.length, read: (start, end) => bytes.subarray(start, end) };
}

const WINDOW_BYTES = 256 * 1024;

/** A file as a source, read through a window, so that reading a graph skips its weights. */
export class FileSource implements ByteSource {
  readonly length: number;
  private readonly fd: number;
  private window = new Uint8Array(0);
  private windowStart = 0;

  constructor(private readonly path: string) {
    this.fd = openSync(path, 'r');
    this.length = fstatSync(this.fd).size;
  }

  read(start: number, end: number): Uint8Array {
    if (start < this.windowStart || end > this.windowStart + this.window.length) this.load(start, end);
    return this.window.subarray(start - this.windowStart, end - this.windowStart);
  }

  private load(start: number, end: number): void {
    const wanted = Math.min(Math.max(end - start, WINDOW_BYTES), this.length - start);
    const window = new Uint8Array(wanted);
    let filled = 0;
    while (filled < wanted) {
      const n = readSync(this.fd, window, filled, wanted - filled, start + filled);
      if (n === 0) throw new Corrupt(`cannot read ${this.path}: it became shorter during the read`);
      filled += n;
    }
    this.window = window;
    this.windowStart = start;
  }

  close(): void {
    closeSync(this.fd);
  }
}
