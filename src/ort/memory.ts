import { InternalError } from '../errors.js';
import { commitInSteps } from '../native/commit.js';
import { type Pointer, viewMemory } from '../native/ffi.js';
import { Handle } from '../native/handle.js';
import type { Environment } from './environment.js';
import type { OrtRuntime } from './runtime.js';

/**
 * Host memory outside of JavaScript's heap, aligned to 64 bytes. Its contents are undefined at first: large allocations take
 * up real memory only where they are touched. Values over it, and bindings of those, keep it after `release`.
 */
export class NativeMemory extends Handle {
  private _bytes: Uint8Array | null = null;

  /** Throws `OrtError` when the system has no such memory. */
  static allocate(runtime: OrtRuntime, byteLength: number): NativeMemory {
    if (!Number.isSafeInteger(byteLength) || byteLength < 1) {
      throw new InternalError(`native memory of ${byteLength} bytes was asked for; at least 1 is needed`);
    }
    return new NativeMemory(runtime.environment, byteLength);
  }

  private constructor(
    readonly environment: Environment,
    readonly byteLength: number,
  ) {
    const { calls, allocator } = environment;
    const status = calls.api.allocatorAlloc(allocator, byteLength, calls.out);
    super('memory', calls.take(status, `allocating ${byteLength} bytes of host memory`));
    environment.hold();
  }

  get place(): Pointer {
    return this.environment.hostMemory;
  }

  /** Where the byte at `byteOffset` is. */
  address(byteOffset: number): Pointer {
    return this.pointer + byteOffset;
  }

  /** All of it, in place. Not to be touched after the memory is freed: that would crash the process. */
  get bytes(): Uint8Array {
    this._bytes ??= viewMemory(this.pointer, this.byteLength);
    return this._bytes;
  }

  /** A part of it, in place, as `bytes` is: of memory that is larger than one view may be. Throws `RangeError` if the part is so too. */
  view(byteOffset: number, byteLength: number): Uint8Array {
    if (!(byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= this.byteLength)) {
      throw new InternalError(
        `bytes ${byteOffset} to ${byteOffset + byteLength} do not lie in memory of ${this.byteLength}`,
      );
    }
    return viewMemory(this.address(byteOffset), byteLength);
  }

  /** Has the system back bytes `[from, to)` with real memory now, off this thread, and not at the first write to each page. */
  commit(from: number, to: number): Promise<void> {
    return commitInSteps(this, from, to);
  }

  protected override free(pointer: Pointer): void {
    this._bytes = null;
    const { calls, allocator } = this.environment;
    calls.check(calls.api.allocatorFree(allocator, pointer), 'freeing host memory');
    this.environment.drop();
  }
}
