import { expect, test } from 'vitest';
import { copyArguments, cudaMissing, gpuMissing } from '../../../../src/device/cuda/cuda-runtime.js';
import { openDevice } from '../../../../src/device/open.js';
import type { NativeLibrary } from '../../../../src/native/ffi.js';
import { OrtRuntime } from '../../../../src/ort/runtime.js';

test('lists the arguments of cudaMemcpy2DAsync in their order', () => {
  const [to, from] = [
    { address: 0x7f00_0000_1000, pitchBytes: 256 },
    { address: 0x7f00_0000_9000, pitchBytes: 4096 },
  ];
  expect(copyArguments(to, from, 256, 8)).toEqual([to.address, 256, from.address, 4096, 256, 8, 3, 0]);
});

test('refuses rows that overlap', () => {
  const at = (pitchBytes: number) => ({ address: 4096, pitchBytes });
  expect(() => copyArguments(at(256), at(4096), 257, 8)).toThrow(/pitch of 256 bytes/);
  expect(() => copyArguments(at(4096), at(128), 257, 8)).toThrow(/pitch of 128 bytes/);
});

test.each([
  [0, 1, null],
  [0, 0, 'the CUDA runtime (libcudart.so.12) finds no GPU'],
  [100, 0, 'the CUDA runtime (libcudart.so.12) has no usable GPU: said of 100 (100)'],
  // The count is undefined after a failure.
  [35, 1, 'the CUDA runtime (libcudart.so.12) has no usable GPU: said of 35 (35)'],
])('finds a usable GPU or the reason why not: status %i, %i GPUs', (status, gpus, missing) => {
  const functions: Record<string, (argument: never) => unknown> = {
    cudaGetDeviceCount: (count: Int32Array) => {
      count[0] = gpus;
      return status;
    },
    cudaGetErrorString: (of: number) => `said of ${of}`,
  };
  const runtime = { name: 'libcudart.so.12', function: (name: string) => functions[name] } as unknown as NativeLibrary;
  expect(gpuMissing(runtime)).toBe(missing);
});

test.skipIf(cudaMissing() === null)('refuses to open a CUDA device where its provider is not installed', async () => {
  const runtime = OrtRuntime.open({ logLevel: 'fatal' });
  try {
    const layout = { layers: 1, kvHeads: 1, headDim: 8, blockTokens: 4, elementType: 'float32' as const };
    const options = { layout, blockBudgetBytes: 4096, slots: 1, capacityTokens: 16 };
    await expect(openDevice(runtime, { name: 'cuda', options: {} }, options)).rejects.toThrow(/CUDA|cuda/);
  } finally {
    runtime.release();
  }
});
