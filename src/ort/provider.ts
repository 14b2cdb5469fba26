/** What runs a graph, and where the K/V of its sessions is. */
export type Provider =
  | { readonly name: 'cpu' }
  /** @see https://onnxruntime.ai/docs/execution-providers/WebGPU-ExecutionProvider.html for its options */
  | { readonly name: 'webgpu'; readonly options: Readonly<Record<string, string>> }
  /** @see https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html for its options */
  | { readonly name: 'cuda'; readonly options: Readonly<Record<string, string>> };

export type DeviceProviderName = Exclude<Provider['name'], 'cpu'>;

/** How ONNX Runtime calls the memory of each provider's device, and whether an address in the middle of it means anything. */
export const DEVICE_MEMORY = {
  webgpu: { name: 'WebGPU_Buf', hasOffsets: false },
  cuda: { name: 'Cuda', hasOffsets: true },
} as const;
