import { closeSync, ftruncateSync } from 'node:fs';
import { InternalError } from '../errors.js';
import { commitInSteps } from './commit.js';
import { type Pointer, viewMemory } from './ffi.js';
import { Handle } from './handle.js';
import { mapFile, memoryFile, seal, unmap } from './libc.js';

/** Host memory that other processes of the same host and user can map read-only. */

/** The name by which other processes recognise such memory in `/proc/PID/fd`. */
export const SHARED_MEMORY_NAME = 'shoal-blocks';

/**
 * A sealed memory file, mapped writable here and mappable read-only elsewhere. It takes up physical memory only where it was touched, and
 * the kernel frees it when no process has it mapped, even after a crash.
 */
export class SharedMemory extends Handle {
  private _bytes: Uint8Array | null = null;

  /** Null if the system has no such memory: the caller falls back to private memory. */
  static allocate(byteLength: number): SharedMemory | null {
    if (!Number.isSafeInteger(byteLength) || byteLength < 1) {
      throw new InternalError(`cannot allocate ${byteLength} bytes of shared memory: at least 1 is needed`);
    }
    const fileDescriptor = memoryFile(SHARED_MEMORY_NAME);
    if (fileDescriptor === null) return null;
    const pointer = reserve(fileDescriptor, byteLength);
    if (pointer !== null && seal(fileDescriptor)) return new SharedMemory(pointer, byteLength, fileDescriptor);
    if (pointer !== null) unmap(pointer, byteLength);
    closeSync(fileDescriptor);
    return null;
  }

  private constructor(
    pointer: Pointer,
    readonly byteLength: number,
    readonly fileDescriptor: number,
  ) {
    super('memory', pointer);
  }

  /** All of the memory, in place. Using the view after the memory is freed crashes the process. */
  get bytes(): Uint8Array {
    this._bytes ??= viewMemory(this.pointer, this.byteLength);
    return this._bytes;
  }

  /** Backs bytes `[from, to)` with physical memory now, off this thread, instead of at the first write to each page. */
  commit(from: number, to: number): Promise<void> {
    return commitInSteps(this, from, to);
  }

  protected override free(pointer: Pointer): void {
    this._bytes = null;
    unmap(pointer, this.byteLength);
    closeSync(this.fileDescriptor);
  }
}

function reserve(fileDescriptor: number, byteLength: number): Pointer | null {
  try {
    ftruncateSync(fileDescriptor, byteLength);
  } catch {
    return null;
  }
  return mapFile(fileDescriptor, byteLength, 'write');
}
