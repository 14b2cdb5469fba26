import { Refused } from '../errors.js';
import type { Provider } from '../ort/provider.js';
import { OrtRuntime } from '../ort/runtime.js';
import { CUDA_FIX, cudaMissing } from './cuda/cuda-runtime.js';
import { type Adapter, vulkanAdapters } from './webgpu/vulkan.js';

/** Chooses the device that a worker runs the model on, and says why. */

/** The devices of this machine. */
export interface DeviceSurvey {
  /** The providers that ONNX Runtime was built with. */
  readonly providers: readonly string[];
  /** Why CUDA cannot run; null if no obstacle was found. */
  readonly cudaMissing: string | null;
  /** The adapter that WebGPU uses is the first. A string says why there are none. */
  readonly adapters: readonly Adapter[] | string;
}

export interface DeviceChoice {
  readonly provider: Provider;
  /** For logs, `GET /v1/fleet` and `shoal doctor`. */
  readonly why: string;
}

export type AskedDevice = 'auto' | Provider['name'];

/** The types of adapter for which `auto` chooses WebGPU. */
const GPU: readonly Adapter['type'][] = ['discrete', 'integrated', 'virtual'];

const CUDA_OPTIONS = {
  // The default doubles each allocation, which would exceed a budget.
  arena_extend_strategy: 'kSameAsRequested',
};

/** Finds the devices of this machine. Throws `Unavailable` if ONNX Runtime cannot be loaded. */
export function surveyDevices(): DeviceSurvey {
  const runtime = OrtRuntime.open();
  const providers = runtime.providers();
  runtime.release();
  const without = (name: string) => `this ONNX Runtime was built without ${name}`;
  return {
    providers,
    cudaMissing: providers.includes('CUDAExecutionProvider') ? cudaMissing() : without('CUDA'),
    adapters: providers.includes('WebGpuExecutionProvider') ? vulkanAdapters() : without('WebGPU'),
  };
}

/**
 * Chooses the device that runs the model. `auto` prefers CUDA, then WebGPU on a hardware adapter, then the CPU.
 * @throws Refused if the requested device cannot be used, with the remedy
 */
export function chooseDevice(asked: AskedDevice, survey: DeviceSurvey): DeviceChoice {
  const { cudaMissing, adapters } = survey;
  const cpu = { name: 'cpu' } as const;
  const webgpu = { name: 'webgpu', options: {} } as const;
  const cuda = { name: 'cuda', options: CUDA_OPTIONS } as const;
  switch (asked) {
    case 'cpu':
      return { provider: cpu, why: 'cpu was asked for' };
    case 'webgpu':
      if (typeof adapters === 'string') throw new Refused(`--device webgpu: ${adapters}; ${WEBGPU_FIX}`);
      return { provider: webgpu, why: `webgpu was asked for: ${adapterText(adapters[0]!)}` };
    case 'cuda':
      if (cudaMissing !== null) throw new Refused(`CUDA provider not installed: ${cudaMissing}; ${CUDA_FIX}`);
      return { provider: cuda, why: 'cuda was asked for' };
    case 'auto': {
      if (cudaMissing === null) return { provider: cuda, why: 'auto takes cuda: its provider is installed' };
      const adapter = typeof adapters === 'string' ? null : adapters[0]!;
      const noCuda = `no cuda (${cudaMissing})`;
      if (adapter !== null && GPU.includes(adapter.type)) {
        return { provider: webgpu, why: `auto takes webgpu on ${adapterText(adapter)}: ${noCuda}` };
      }
      const noWebGpu = adapter === null ? String(adapters) : `${adapterText(adapter)} is not known to be a GPU`;
      return { provider: cpu, why: `auto takes cpu: ${noCuda}, no webgpu (${noWebGpu})` };
    }
  }
}

export const WEBGPU_FIX =
  "install the Vulkan loader (Debian: libvulkan1) and a driver for the GPU; NVIDIA's driver needs libx11-6 and libxext6 too";

export function adapterText({ name, type }: Adapter): string {
  return `${name} (${type})`;
}
