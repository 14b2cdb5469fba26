import { InternalError } from '../errors.js';
import { commitInSteps } from '../native/commit.js';
import { type Pointer, viewMemory } from '../native/ffi.js';
import { Handle } from '../native/handle.js';
import type { Environment } from './environment.js';
import type { OrtRuntime } from './runtime.js';

/**
 * Uninitialized host memory outside the JavaScript heap, aligned to 64 bytes. Large allocations take up physical memory only where they
 * are touched. Values over it, and bindings of such values, keep it alive after `release`.
 */
export class NativeMemory extends Handle {
  private _bytes: Uint8Array | null = null;

  /** Throws `OrtError` if the system has not enough memory. */
  static allocate(runtime: OrtRuntime, byteLength: number): NativeMemory {
    if (!Number.isSafeInteger(byteLength) || byteLength < 1) {
      throw new InternalError(`cannot allocate ${byteLength} bytes of native memory: at least 1 is needed`);
    }
    return new NativeMemory(runtime.environment, byteLength);
  }

  private constructor(
    readonly environment: Environment,
    readonly byteLength: number,
  ) {
    const { calls, allocator } = environment;
    const status = calls.api.allocatorAlloc(allocator, byteLength, calls.out);
    super('memory', calls.result(status, `allocate ${byteLength} bytes of host memory`));
    environment.addReference();
  }

  get place(): Pointer {
    return this.environment.hostMemory;
  }

  /** The address of the byte at `byteOffset`. */
  address(byteOffset: number): Pointer {
    return this.pointer + byteOffset;
  }

  /** All of the memory, in place. Using the view after the memory is freed crashes the process. */
  get bytes(): Uint8Array {
    this._bytes ??= viewMemory(this.pointer, this.byteLength);
    return this._bytes;
  }

  /** A part of the memory, in place, for memory larger than the largest view. Throws `RangeError` if the part is larger too. */
  view(byteOffset: number, byteLength: number): Uint8Array {
    if (!(byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= this.byteLength)) {
      throw new InternalError(
        `bytes ${byteOffset} to ${byteOffset + byteLength} do not lie in memory of ${this.byteLength} bytes`,
      );
    }
    return viewMemory(this.address(byteOffset), byteLength);
  }

  /** Backs bytes `[from, to)` with physical memory now, off this thread, instead of at the first write to each page. */
  commit(from: number, to: number): Promise<void> {
    return commitInSteps(this, from, to);
  }

  protected override free(pointer: Pointer): void {
    this._bytes = null;
    const { calls, allocator } = this.environment;
    calls.check(calls.api.allocatorFree(allocator, pointer), 'free host memory');
    this.environment.dropReference();
  }
}
