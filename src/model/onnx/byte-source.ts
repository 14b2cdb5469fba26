import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { Corrupt } from '../../errors.js';

/** Bytes of which only some are looked at: an array, or a file that is not read whole. */
export interface ByteSource {
  readonly length: number;
  /** Bytes `[start, end)`; valid until the next call. The range must lie inside. */
  read(start: number, end: number): Uint8Array;
}

/** A byte array as a source. Nothing is copied. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return { length: bytes.length, read: (start, end) => bytes.subarray(start, end) };
}

const WINDOW_BYTES = 256 * 1024;

/** A file as a source, read through a window, so that a walk over a graph skips its weights. */
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
      if (n === 0) throw new Corrupt(`reading ${this.path}: it became shorter while it was read`);
      filled += n;
    }
    this.window = window;
    this.windowStart = start;
  }

  close(): void {
    closeSync(this.fd);
  }
}
