import { InternalError } from '../errors.js';
import type { Pointer } from '../native/ffi.js';
import { Handle } from '../native/handle.js';
import type { Environment } from './environment.js';
import { DEVICE_MEMORY, type DeviceProviderName } from './provider.js';
import type { Session } from './session.js';

const ARENA_ALLOCATOR_OFF = 0;
const MEMORY_TYPE_DEFAULT = 0;

/** Allocates memory of the device that a session runs on. */
export class DeviceAllocator extends Handle {
  readonly environment: Environment;
  readonly provider: DeviceProviderName;
  /** The `OrtMemoryInfo` that denotes this device's memory. */
  readonly place: Pointer;

  /** Throws `OrtError` if the session has no such device. */
  constructor(
    private readonly session: Session,
    provider: DeviceProviderName,
    deviceIndex = 0,
  ) {
    const { environment } = session;
    const { calls } = environment;
    const { api, out } = calls;
    const { name } = DEVICE_MEMORY[provider];
    const place = calls.result(
      api.createMemoryInfo(name, ARENA_ALLOCATOR_OFF, deviceIndex, MEMORY_TYPE_DEFAULT, out),
      'describe device memory',
    );
    const status = api.createAllocator(session.pointer, place, out);
    super('allocator', calls.result(status, `find the allocator of ${name}`));
    this.environment = environment;
    this.provider = provider;
    this.place = place;
    session.addReference();
  }

  /** Allocates uninitialized memory of the device. Throws `OrtError` if the device has not enough. */
  allocate(byteLength: number): DeviceAllocation {
    if (!Number.isSafeInteger(byteLength) || byteLength < 1) {
      throw new InternalError(`cannot allocate ${byteLength} bytes of device memory: at least 1 is needed`);
    }
    return new DeviceAllocation(this, byteLength);
  }

  protected override free(pointer: Pointer): void {
    const { api } = this.environment.calls;
    api.releaseAllocator(pointer);
    api.releaseMemoryInfo(this.place);
    this.session.dropReference();
  }
}

/** Device memory that the host cannot access. Values over it, and bindings of such values, keep it alive after `release`. */
export class DeviceAllocation extends Handle {
  readonly environment: Environment;

  private readonly allocatorPointer: Pointer;

  /** Use `allocator.allocate()`. */
  constructor(
    private readonly allocator: DeviceAllocator,
    readonly byteLength: number,
  ) {
    const { environment, pointer, provider } = allocator;
    const { calls } = environment;
    const status = calls.api.allocatorAlloc(pointer, byteLength, calls.out);
    super('memory', calls.result(status, `allocate ${byteLength} bytes of ${provider} memory`));
    this.environment = environment;
    this.allocatorPointer = pointer;
    allocator.addReference();
  }

  get place(): Pointer {
    return this.allocator.place;
  }

  /** The address of the byte at `byteOffset`. */
  address(byteOffset: number): Pointer {
    if (byteOffset !== 0 && !DEVICE_MEMORY[this.allocator.provider].hasOffsets) {
      throw new InternalError(
        `cannot use ${this.allocator.provider} memory from byte ${byteOffset}: tensors must start at byte 0`,
      );
    }
    return this.pointer + byteOffset;
  }

  protected override free(pointer: Pointer): void {
    const { calls, locks } = this.environment;
    const { provider } = this.allocator;
    locks[provider].runOutside(() => {
      calls.check(calls.api.allocatorFree(this.allocatorPointer, pointer), `free ${provider} memory`);
      this.allocator.dropReference();
    });
  }
}
