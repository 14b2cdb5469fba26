import { Unavailable } from '../../errors.js';
import { copyTensor } from '../../ort/copy.js';
import type { DeviceAllocation, DeviceAllocator } from '../../ort/device-memory.js';
import type { OrtRuntime } from '../../ort/runtime.js';
import { Value } from '../../ort/value.js';
import type { CopyCounter } from '../copy-counter.js';

/** Words that no fresh memory has by itself. */
const PATTERN = Int32Array.of(0x73686f61, 0x6c0a0d1a, -2, 0x0badcafe);

/**
 * Memory of a WebGPU device that is there indeed. A device that has no more of it does not say so: it gives a buffer that takes what is
 * written and gives zeros. So each buffer is written to and read before it is used.
 */
export class WebGpuMemory {
  constructor(
    private readonly runtime: OrtRuntime,
    readonly allocator: DeviceAllocator,
    private readonly counter: CopyCounter,
  ) {}

  /** In the device's turn. Throws `Unavailable` where the device has no such memory. */
  async allocate(byteLength: number): Promise<DeviceAllocation> {
    const memory = this.allocator.allocate(Math.max(byteLength, PATTERN.byteLength));
    const seen = new Int32Array(PATTERN.length);
    const place = Value.over(memory, 0, 'int32', [PATTERN.length]);
    try {
      await this.upload(new Uint8Array(PATTERN.slice().buffer), place);
      await this.download(place, new Uint8Array(seen.buffer));
    } finally {
      place.release();
    }
    if (seen.every((word, index) => word === PATTERN[index])) return memory;
    memory.release();
    throw new Unavailable(`the webgpu device has no memory for a buffer of ${byteLength} bytes`);
  }

  /** In the device's turn, as many bytes as the tensor has. */
  async upload(bytes: Uint8Array, to: Value): Promise<void> {
    const from = Value.overBytes(this.runtime, bytes, to.elementType, to.shape);
    try {
      await copyTensor(from, to);
    } finally {
      from.release();
    }
    this.counter.h2d += bytes.length;
  }

  /** In the device's turn, as many bytes as the tensor has. */
  async download(from: Value, into: Uint8Array): Promise<void> {
    const to = Value.overBytes(this.runtime, into, from.elementType, from.shape);
    try {
      await copyTensor(from, to);
    } finally {
      to.release();
    }
    this.counter.d2h += into.length;
  }
}
