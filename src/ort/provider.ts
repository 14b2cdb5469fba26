/** The execution provider that runs a graph; it also decides in which memory K/V lies. */
export type Provider =
  | { readonly name: 'cpu' }
  /** @see https://onnxruntime.ai/docs/execution-providers/WebGPU-ExecutionProvider.html for its options */
  | { readonly name: 'webgpu'; readonly options: Readonly<Record<string, string>> }
  /** @see https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html for its options */
  | { readonly name: 'cuda'; readonly options: Readonly<Record<string, string>> };

export type DeviceProviderName = Exclude<Provider['name'], 'cpu'>;

/** ONNX Runtime's names for device memory, and whether a tensor may start at an offset within an allocation. */
export const DEVICE_MEMORY = {
  webgpu: { name: 'WebGPU_Buf', hasOffsets: false },
  cuda: { name: 'Cuda', hasOffsets: true },
} as const;
