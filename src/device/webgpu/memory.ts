import { Unavailable } from '../../errors.js';
import { copyTensor } from '../../ort/copy.js';
import type { DeviceAllocation, DeviceAllocator } from '../../ort/device-memory.js';
import type { OrtRuntime } from '../../ort/runtime.js';
import { Value } from '../../ort/value.js';
import type { CopyCounter } from '../copy-counter.js';

/** Allocates WebGPU memory that provably exists, and copies it from and to the host. */

/** Words that uninitialized memory is most unlikely to have. */
const PATTERN = Int32Array.of(0x73686f61, 0x6c0a0d1a, -2, 0x0badcafe);

/**
 * A WebGPU device that is out of memory reports no error: it returns a buffer that ignores writes and reads as zeros. So each buffer is
 * probed by a write and a read before its use. The caller of each method holds the device's lock.
 */
export class WebGpuMemory {
  constructor(
    private readonly runtime: OrtRuntime,
    readonly allocator: DeviceAllocator,
    private readonly counter: CopyCounter,
  ) {}

  /** Throws `Unavailable` if the device is out of memory. */
  async allocate(byteLength: number): Promise<DeviceAllocation> {
    const memory = this.allocator.allocate(Math.max(byteLength, PATTERN.byteLength));
    const seen = new Int32Array(PATTERN.length);
    const probe = Value.view(memory, 0, 'int32', [PATTERN.length]);
    try {
      await this.upload(new Uint8Array(PATTERN.slice().buffer), probe);
      await this.download(probe, new Uint8Array(seen.buffer));
    } finally {
      probe.release();
    }
    if (seen.every((word, index) => word === PATTERN[index])) return memory;
    memory.release();
    throw new Unavailable(`cannot allocate a buffer of ${byteLength} bytes: the webgpu device is out of memory`);
  }

  /** Copies the host's bytes to a tensor of the same size. */
  async upload(bytes: Uint8Array, to: Value): Promise<void> {
    const from = Value.viewBytes(this.runtime, bytes, to.elementType, to.shape);
    try {
      await copyTensor(from, to);
    } finally {
      from.release();
    }
    this.counter.h2d += bytes.length;
  }

  /** Copies a tensor to host memory of the same size. */
  async download(from: Value, into: Uint8Array): Promise<void> {
    const to = Value.viewBytes(this.runtime, into, from.elementType, from.shape);
    try {
      await copyTensor(from, to);
    } finally {
      to.release();
    }
    this.counter.d2h += into.length;
  }
}
