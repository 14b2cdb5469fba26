import { closeSync, constants, fstatSync, ftruncateSync, openSync, readlinkSync, readSync, writeSync } from 'node:fs';
import { addressOf } from './ffi.js';
import { isImmutable, mapOver, memoryFile, sealWhole } from './libc.js';

/**
 * Bytes in a file in memory that nobody can change any more, for other processes of the same host and user to map. Readers get a mapping of their
 * own: what they write there stays theirs.
 */

const NAME = 'shoal-object';
/** The kernel reads and writes at most 2 GiB at a time. */
const STEP_BYTES = 2 ** 30;

/** Where the bytes of a value begin, and the bytes. */
export interface PlacedBytes {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** How another process finds a file. */
export interface SharedFilePlace {
  readonly pid: number;
  readonly fileDescriptor: number;
  /** Part of the name of the file, which no other file has. */
  readonly token: string;
}

export class SharedFile {
  private constructor(
    readonly byteLength: number,
    private readonly fileDescriptor: number,
    private readonly token: string,
  ) {}

  /** Writes a file. `token`: letters and digits that no other file has. Null if the system has no such files, or no memory for it. */
  static write(byteLength: number, pieces: Iterable<PlacedBytes>, token: string): SharedFile | null {
    const file = memoryFile(`${NAME}-${token}`);
    if (file === null) return null;
    try {
      ftruncateSync(file, byteLength);
      for (const { at, bytes } of pieces) writeAll(file, bytes, at);
      if (sealWhole(file)) return new SharedFile(byteLength, file, token);
    } catch {
      // The caller keeps the bytes in memory of its own.
    }
    closeSync(file);
    return null;
  }

  get place(): SharedFilePlace {
    return { pid: process.pid, fileDescriptor: this.fileDescriptor, token: this.token };
  }

  /** The bytes, in a mapping that ends when the array is garbage; null if the system refuses. */
  map(): Uint8Array | null {
    return mapped(this.fileDescriptor, this.byteLength);
  }

  /** A copy of bytes `[from, to)`. */
  read(from: number, to: number): Uint8Array {
    const bytes = new Uint8Array(to - from);
    for (let at = 0; at < bytes.byteLength; ) {
      at += readSync(this.fileDescriptor, bytes, at, Math.min(STEP_BYTES, bytes.byteLength - at), from + at);
    }
    return bytes;
  }

  /** Mappings stay as they are. */
  close(): void {
    closeSync(this.fileDescriptor);
  }
}

/**
 * The bytes of a file of another process, without a copy; null if the file cannot be read here, is another one, or could still change. The mapping ends
 * when the array is garbage.
 */
export function mapSharedFile({ pid, fileDescriptor, token }: SharedFilePlace, byteLength: number): Uint8Array | null {
  const path = `/proc/${pid}/fd/${fileDescriptor}`;
  let opened: number | null = null;
  try {
    if (!isNamed(path, token)) return null;
    // Does not block, should another file have taken this descriptor meanwhile.
    opened = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { size, uid } = fstatSync(opened);
    const isRight = size === byteLength && uid === process.getuid?.() && isNamed(`/proc/self/fd/${opened}`, token);
    return isRight && isImmutable(opened) ? mapped(opened, byteLength) : null;
  } catch {
    return null;
  } finally {
    if (opened !== null) closeSync(opened);
  }
}

function isNamed(path: string, token: string): boolean {
  return readlinkSync(path).startsWith(`/memfd:${NAME}-${token} `);
}

function writeAll(file: number, bytes: Uint8Array, at: number): void {
  for (let from = 0; from < bytes.byteLength; ) {
    from += writeSync(file, bytes, from, Math.min(STEP_BYTES, bytes.byteLength - from), at + from);
  }
}

const WASM_PAGE_BYTES = 2 ** 16;
/** The types of Node do not have it. */
declare const WebAssembly: {
  readonly Memory: new (pages: {
    readonly initial: number;
    readonly maximum: number;
  }) => { readonly buffer: ArrayBuffer };
};

/**
 * Maps a file over the memory of a WebAssembly program that does not exist: V8 unmaps it when nothing refers to it any more, and lets nobody detach or
 * transfer its buffer.
 */
function mapped(file: number, byteLength: number): Uint8Array | null {
  try {
    const pages = Math.ceil(byteLength / WASM_PAGE_BYTES);
    const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages });
    return mapOver(addressOf(buffer), file, byteLength) ? new Uint8Array(buffer, 0, byteLength) : null;
  } catch {
    // No address space is left.
    return null;
  }
}
