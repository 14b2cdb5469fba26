import { expect, test } from 'vitest';
import { CudaDevice } from '../../src/device/cuda/cuda-device.js';
import { CudaRuntime, cudaMissing } from '../../src/device/cuda/cuda-runtime.js';
import { liveHandles } from '../../src/native/handle.js';
import type { DeviceAllocator } from '../../src/ort/device-memory.js';
import { OrtRuntime } from '../../src/ort/runtime.js';
import { Value } from '../../src/ort/value.js';
import { type DeviceHarness, deviceContract } from './device.contract.js';

/** The contract on a GPU by CUDA, where there is one. */

function makeHarness(): DeviceHarness {
  const runtime = OrtRuntime.open();
  const cuda = CudaRuntime.open()!;
  const values: Value[] = [];
  return {
    open: (options) => CudaDevice.open({ runtime, provider: { name: 'cuda', options: {} }, cuda, ...options }),
    supports: () => true,
    // Each device opens a session.
    cases: (max) => Math.ceil(max / 4),
    tensor: async (device, { elementType }, shape, bytes) => {
      const memory = (device.loosePlace as DeviceAllocator).allocate(bytes.length);
      const value = Value.view(memory, 0, elementType, shape);
      memory.release();
      await cuda.upload(value.address, bytes);
      values.push(value);
      return value;
    },
    read: async (value) => {
      const bytes = new Uint8Array(value.byteLength);
      await cuda.download(value.address, bytes);
      return bytes;
    },
    close: () => {
      for (const value of values) value.release();
      runtime.release();
      expect(liveHandles()).toEqual({});
    },
  };
}

const missing = cudaMissing();
if (missing === null) deviceContract('cuda', makeHarness);
else test.skip(`a cuda device on a GPU: ${missing}`);
