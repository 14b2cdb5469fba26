import { expect, test } from 'vitest';
import { copyArguments, cudaMissing, gpuMissing } from '../../../../src/device/cuda/cuda-runtime.js';
import { openDevice } from '../../../../src/device/open.js';
import type { NativeLibrary } from '../../../../src/native/ffi.js';
import { OrtRuntime } from '../../../../src/ort/runtime.js';

test('copies rows that lie apart as cudaMemcpy2DAsync takes them: to, from, bytes of a row, rows, within the device', () => {
  const [to, from] = [
    { address: 0x7f00_0000_1000, pitchBytes: 256 },
    { address: 0x7f00_0000_9000, pitchBytes: 4096 },
  ];
  expect(copyArguments(to, from, 256, 8)).toEqual([to.address, 256, from.address, 4096, 256, 8, 3, 0]);
});

test('copies no rows that lie one over another', () => {
  const at = (pitchBytes: number) => ({ address: 4096, pitchBytes });
  expect(() => copyArguments(at(256), at(4096), 257, 8)).toThrow(/256 bytes apart/);
  expect(() => copyArguments(at(4096), at(128), 257, 8)).toThrow(/128 bytes apart/);
});

test.each([
  [0, 1, null],
  [0, 0, 'the CUDA runtime (libcudart.so.12) finds no GPU'],
  [100, 0, 'the CUDA runtime (libcudart.so.12) has no GPU that it can use: said of 100 (100)'],
  // What is in memory after a failure says nothing.
  [35, 1, 'the CUDA runtime (libcudart.so.12) has no GPU that it can use: said of 35 (35)'],
])('asks the runtime for GPUs: status %i and %i of them', (status, gpus, missing) => {
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
