import { Refused } from '../errors.js';
import type { Provider } from '../ort/provider.js';
import type { OrtRuntime } from '../ort/runtime.js';
import { CpuDevice } from './cpu/cpu-device.js';
import { CudaDevice } from './cuda/cuda-device.js';
import { CudaRuntime } from './cuda/cuda-runtime.js';
import type { Device, DeviceOptions } from './device.js';
import { WebGpuDevice } from './webgpu/webgpu-device.js';

/** Opens the device of a provider. Rejects with `Refused` if the slots do not fit, or the K/V layout is not supported. */
export async function openDevice(runtime: OrtRuntime, provider: Provider, options: DeviceOptions): Promise<Device> {
  switch (provider.name) {
    case 'cpu':
      return new CpuDevice({ runtime, ...options });
    case 'webgpu':
      requireUniform(provider, options);
      return WebGpuDevice.open({ runtime, provider, ...options });
    case 'cuda': {
      requireUniform(provider, options);
      const cuda = CudaRuntime.open();
      if (cuda === null) throw new Refused('cannot open the cuda device: libcudart is not installed');
      return CudaDevice.open({ runtime, provider, cuda, ...options });
    }
  }
}

/** The copies of these devices take one stride for all tensors. */
function requireUniform({ name }: Provider, { layout }: DeviceOptions): void {
  if (layout.states !== undefined)
    throw new Refused(
      `cannot run this model on the ${name} device: some of its layers have a state instead of K/V; use --device cpu`,
    );
  if (layout.uneven === undefined) return;
  const sizes = new Set(layout.uneven.map(({ kvHeads, headDim }) => `${kvHeads} x ${headDim}`));
  throw new Refused(
    `cannot run this model on the ${name} device: its K and V differ in size (${[...sizes].join(', ')}); use --device cpu`,
  );
}
