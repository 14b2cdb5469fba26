import { CudaDevice } from '../../../src/device/cuda/cuda-device.js';
import { CudaRuntime } from '../../../src/device/cuda/cuda-runtime.js';
import type { DeviceOptions } from '../../../src/device/device.js';
import { OrtRuntime } from '../../../src/ort/runtime.js';
import { CudaProvider } from './cuda-provider.js';

/** Opens cuda devices without a GPU. */

/** The options with which shoal asks for CUDA. */
export const CUDA = { name: 'cuda', options: { arena_extend_strategy: 'kSameAsRequested' } } as const;

/** The stand-in for CUDA in this process, until `close`. */
export class CudaStandIn {
  readonly runtime = OrtRuntime.open();
  readonly gpu = new CudaProvider(this.runtime);

  /** @param slabBytes the size of an allocation for blocks; default: the device's own */
  open(options: DeviceOptions, slabBytes?: number): Promise<CudaDevice> {
    const { runtime, gpu } = this;
    const slabs = slabBytes === undefined ? {} : { slabBytes };
    return CudaDevice.open({ runtime, provider: CUDA, cuda: new CudaRuntime(gpu.library), ...slabs, ...options });
  }

  /** Returns what was not released. */
  close(): string[] {
    const leaks = this.gpu.leaks();
    this.gpu.remove();
    this.runtime.release();
    return leaks;
  }
}
