import { Refused } from '../errors.js';
import type { Provider } from '../ort/provider.js';
import type { OrtRuntime } from '../ort/runtime.js';
import { CpuDevice } from './cpu/cpu-device.js';
import { CudaDevice } from './cuda/cuda-device.js';
import { CudaRuntime } from './cuda/cuda-runtime.js';
import type { Device, DeviceOptions } from './device.js';
import { WebGpuDevice } from './webgpu/webgpu-device.js';

/** Opens the device of a provider. Rejects with `Refused` where it has no room for the sequences, or does not serve such K/V. */
export async function openDevice(runtime: OrtRuntime, provider: Provider, options: DeviceOptions): Promise<Device> {
  switch (provider.name) {
    case 'cpu':
      return new CpuDevice({ runtime, ...options });
    case 'webgpu':
      return WebGpuDevice.open({ runtime, provider, ...options });
    case 'cuda': {
      const cuda = CudaRuntime.open();
      if (cuda === null) throw new Refused('CUDA provider not installed: there is no libcudart');
      return CudaDevice.open({ runtime, provider, cuda, ...options });
    }
  }
}
