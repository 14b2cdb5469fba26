import { Refused } from '../errors.js';
import type { Provider } from '../ort/provider.js';
import { OrtRuntime } from '../ort/runtime.js';
import { CUDA_FIX, cudaMissing } from './cuda/cuda-runtime.js';
import { type Adapter, vulkanAdapters } from './webgpu/vulkan.js';

/** What of devices this machine has. */
export interface DeviceSurvey {
  /** Providers that ONNX Runtime was built with. */
  readonly providers: readonly string[];
  /** Why CUDA cannot run; null if nothing is seen that is in its way. */
  readonly cudaMissing: string | null;
  /** The adapter that WebGPU takes comes first. Text: why there are none. */
  readonly adapters: readonly Adapter[] | string;
}

export interface DeviceChoice {
  readonly provider: Provider;
  /** For logs, `GET /v1/fleet` and `shoal doctor`. */
  readonly why: string;
}

export type AskedDevice = 'auto' | Provider['name'];

/** What `auto` takes WebGPU for. */
const GPU: readonly Adapter['type'][] = ['discrete', 'integrated', 'virtual'];

const CUDA_OPTIONS = {
  // Memory is taken as it is asked for, so that a budget is one.
  arena_extend_strategy: 'kSameAsRequested',
};

/** Asks the machine. Throws `Unavailable` where there is no ONNX Runtime. */
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
 * The device that runs the model. `auto` takes CUDA, then WebGPU on an adapter that is no software, then the CPU.
 * @throws Refused where the device asked for cannot be had, with what to do
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
      if (typeof adapters === 'string') throw new Refused(`--device webgpu: ${adapters}. ${WEBGPU_FIX}`);
      return { provider: webgpu, why: `webgpu was asked for: ${adapterText(adapters[0]!)}` };
    case 'cuda':
      if (cudaMissing !== null) throw new Refused(`CUDA provider not installed: ${cudaMissing}. ${CUDA_FIX}`);
      return { provider: cuda, why: 'cuda was asked for' };
    case 'auto': {
      if (cudaMissing === null) return { provider: cuda, why: 'auto takes cuda, as its provider is installed' };
      const adapter = typeof adapters === 'string' ? null : adapters[0]!;
      const noCuda = `no cuda (${cudaMissing})`;
      if (adapter !== null && GPU.includes(adapter.type)) {
        return { provider: webgpu, why: `auto takes webgpu on ${adapterText(adapter)}: ${noCuda}` };
      }
      const noWebGpu = adapter === null ? String(adapters) : `${adapterText(adapter)} is not known as a GPU`;
      return { provider: cpu, why: `auto takes cpu: ${noCuda}, no webgpu (${noWebGpu})` };
    }
  }
}

export const WEBGPU_FIX =
  "Install the Vulkan loader (Debian: libvulkan1) and a driver for the GPU; NVIDIA's needs libx11-6 and libxext6 too.";

export function adapterText({ name, type }: Adapter): string {
  return `${name} (${type})`;
}
