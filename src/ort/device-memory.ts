import { InternalError } from '../errors.js';
import type { Pointer } from '../native/ffi.js';
import { Handle } from '../native/handle.js';
import type { Environment } from './environment.js';
import { DEVICE_MEMORY, type DeviceProviderName } from './provider.js';
import type { Session } from './session.js';

const ARENA_ALLOCATOR_OFF = 0;
const MEMORY_TYPE_DEFAULT = 0;

/** Gives out memory of the device that a session runs on. */
export class DeviceAllocator extends Handle {
  readonly environment: Environment;
  readonly provider: DeviceProviderName;
  /** Says "memory of this device" to calls that ask where a tensor is. */
  readonly place: Pointer;

  /** Throws `OrtError` where the session has no such device. */
  constructor(
    private readonly session: Session,
    provider: DeviceProviderName,
    deviceIndex = 0,
  ) {
    const { environment } = session;
    const { calls } = environment;
    const { api, out } = calls;
    const { name } = DEVICE_MEMORY[provider];
    const place = calls.take(
      api.createMemoryInfo(name, ARENA_ALLOCATOR_OFF, deviceIndex, MEMORY_TYPE_DEFAULT, out),
      'describing memory of a device',
    );
    const status = api.createAllocator(session.pointer, place, out);
    super('allocator', calls.take(status, `finding the allocator of ${name}`));
    this.environment = environment;
    this.provider = provider;
    this.place = place;
    session.hold();
  }

  /** Memory of the device. Its contents are undefined at first. Throws `OrtError` when the device has no such memory. */
  allocate(byteLength: number): DeviceMemory {
    if (!Number.isSafeInteger(byteLength) || byteLength < 1) {
      throw new InternalError(`device memory of ${byteLength} bytes was asked for; at least 1 is needed`);
    }
    return new DeviceMemory(this, byteLength);
  }

  protected override free(pointer: Pointer): void {
    const { api } = this.environment.calls;
    api.releaseAllocator(pointer);
    api.releaseMemoryInfo(this.place);
    this.session.drop();
  }
}

/** Memory of a device, which the host cannot read or write. Values over it, and bindings of those, keep it after `release`. */
export class DeviceMemory extends Handle {
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
    super('memory', calls.take(status, `allocating ${byteLength} bytes of ${provider} memory`));
    this.environment = environment;
    this.allocatorPointer = pointer;
    allocator.hold();
  }

  get place(): Pointer {
    return this.allocator.place;
  }

  /** Where the byte at `byteOffset` is. */
  address(byteOffset: number): Pointer {
    if (byteOffset !== 0 && !DEVICE_MEMORY[this.allocator.provider].hasOffsets) {
      throw new InternalError(
        `${this.allocator.provider} memory can be used from its beginning only, not from byte ${byteOffset}`,
      );
    }
    return this.pointer + byteOffset;
  }

  protected override free(pointer: Pointer): void {
    const { calls, locks } = this.environment;
    const { provider } = this.allocator;
    locks[provider].runOutside(() => {
      calls.check(calls.api.allocatorFree(this.allocatorPointer, pointer), `freeing ${provider} memory`);
      this.allocator.drop();
    });
  }
}
