import { closeSync, ftruncateSync } from 'node:fs';
import { InternalError } from '../errors.js';
import { commitInSteps } from './commit.js';
import { type Pointer, viewMemory } from './ffi.js';
import { Handle } from './handle.js';
import { mapFile, memoryFile, seal, unmap } from './libc.js';

/** By this name, in `/proc/PID/fd`, other processes know what they find. */
export const SHARED_MEMORY_NAME = 'shoal-blocks';

/**
 * Host memory that other processes of the same user can map to read, and never to write: a sealed memory file. It takes up real memory only
 * where it is touched, and is gone when nobody has it mapped any more, however its processes ended.
 */
export class SharedMemory extends Handle {
  private _bytes: Uint8Array | null = null;

  /** Null where the system has no such memory to give: the caller does with memory of its own. */
  static allocate(byteLength: number): SharedMemory | null {
    if (!Number.isSafeInteger(byteLength) || byteLength < 1) {
      throw new InternalError(`shared memory of ${byteLength} bytes was asked for; at least 1 is needed`);
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

  /** All of it, in place. Not to be touched after the memory is freed: that would crash the process. */
  get bytes(): Uint8Array {
    this._bytes ??= viewMemory(this.pointer, this.byteLength);
    return this._bytes;
  }

  /** Has the system back bytes `[from, to)` with real memory now, off this thread, and not at the first write to each page. */
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
