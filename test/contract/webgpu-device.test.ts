import { expect, test } from 'vitest';
import { ELEMENT_BYTES } from '../../src/core/kv-layout.js';
import { WebGpuDevice } from '../../src/device/webgpu.js';
import { copyTensor } from '../../src/ort/copy.js';
import type { DeviceAllocator } from '../../src/ort/device-memory.js';
import { liveHandles } from '../../src/ort/handles.js';
import { OrtRuntime } from '../../src/ort/runtime.js';
import { Value } from '../../src/ort/value.js';
import { webGpuMissing } from '../support/software-vulkan.js';
import { type DeviceHarness, deviceContract } from './device.contract.js';

const provider = { name: 'webgpu', options: {} } as const;

const makeHarness = (): DeviceHarness => {
  const runtime = OrtRuntime.open();
  const { turns } = runtime.environment;
  const values: Value[] = [];
  return {
    open: (options) => WebGpuDevice.open({ runtime, provider, ...options }),
    serves: ({ headDim, elementType }) => (headDim * ELEMENT_BYTES[elementType]) % 4 === 0,
    cases: (most) => Math.ceil(most / 4),
    tensor: async (device, { elementType }, shape, bytes) => {
      const memory = (device.loosePlace as DeviceAllocator).allocate(bytes.length);
      const value = Value.over(memory, 0, elementType, shape);
      memory.release();
      values.push(value);
      const source = Value.overBytes(runtime, bytes, elementType, shape);
      await turns.webgpu.take(() => copyTensor(source, value));
      source.release();
      return value;
    },
    read: async (value) => {
      const bytes = new Uint8Array(value.byteLength);
      const target = Value.overBytes(runtime, bytes, value.elementType, value.shape);
      await turns.webgpu.take(() => copyTensor(value, target));
      target.release();
      return bytes;
    },
    close: () => {
      for (const value of values) value.release();
      runtime.release();
      expect(Object.values(liveHandles()).every((count) => count === 0)).toBe(true);
    },
  };
};

const missing = webGpuMissing();
if (missing === null) deviceContract('webgpu', makeHarness);
else test.skip(`a webgpu device: ${missing}`);
