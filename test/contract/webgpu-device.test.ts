import { describe, expect, test } from 'vitest';
import { blockBytes, ELEMENT_BYTES, type KvLayout } from '../../src/core/kv-layout.js';
import { vulkanAdapters } from '../../src/device/webgpu/vulkan.js';
import { WebGpuDevice } from '../../src/device/webgpu/webgpu-device.js';
import { Unavailable } from '../../src/errors.js';
import { liveHandles } from '../../src/native/handle.js';
import { copyTensor } from '../../src/ort/copy.js';
import type { DeviceAllocator } from '../../src/ort/device-memory.js';
import { OrtRuntime } from '../../src/ort/runtime.js';
import { Value } from '../../src/ort/value.js';
import { webGpuMissing } from '../support/software-vulkan.js';
import { type DeviceHarness, deviceContract } from './device.contract.js';

const provider = { name: 'webgpu', options: {} } as const;

const makeHarness = (): DeviceHarness => {
  const runtime = OrtRuntime.open();
  const { locks } = runtime.environment;
  const values: Value[] = [];
  return {
    open: (options) => WebGpuDevice.open({ runtime, provider, ...options }),
    supports: ({ headDim, elementType }) => (headDim * ELEMENT_BYTES[elementType]) % 4 === 0,
    cases: (max) => Math.ceil(max / 4),
    tensor: async (device, { elementType }, shape, bytes) => {
      const memory = (device.loosePlace as DeviceAllocator).allocate(bytes.length);
      const value = Value.view(memory, 0, elementType, shape);
      memory.release();
      values.push(value);
      const source = Value.viewBytes(runtime, bytes, elementType, shape);
      await locks.webgpu.run(() => copyTensor(source, value));
      source.release();
      return value;
    },
    read: async (value) => {
      const bytes = new Uint8Array(value.byteLength);
      const target = Value.viewBytes(runtime, bytes, value.elementType, value.shape);
      await locks.webgpu.run(() => copyTensor(value, target));
      target.release();
      return bytes;
    },
    close: () => {
      for (const value of values) value.release();
      runtime.release();
      expect(liveHandles()).toEqual({});
    },
  };
};

const missing = webGpuMissing();
if (missing === null) deviceContract('webgpu', makeHarness);
else test.skip(`a webgpu device: ${missing}`);

describe.skipIf(missing !== null)('a webgpu device that is out of memory', () => {
  const layout: KvLayout = { layers: 1, kvHeads: 4, headDim: 64, blockTokens: 64, elementType: 'float32' };
  // The buffers are larger than any device allows; ONNX Runtime would log the device's error to stderr.
  const runtime = () => OrtRuntime.open({ logLevel: 'fatal' });

  test('is refused at its start if its slots do not fit, with the remedy', async () => {
    const ort = runtime();
    const options = { layout, blockBudgetBytes: 2 ** 20, slots: 250, capacityTokens: 500_000 };
    await expect(WebGpuDevice.open({ runtime: ort, provider, ...options })).rejects.toThrow(
      /cannot allocate 250 slots of 500000 tokens on the webgpu device: out of memory for \d+ bytes in 4 buffers; set fewer --sequences or a smaller --context/,
    );
    ort.release();
    expect(liveHandles()).toEqual({});
  });

  // A test should not use as much memory as a real GPU has.
  const adapters = vulkanAdapters();
  const small = typeof adapters !== 'string' && adapters[0]!.type === 'software';

  test.skipIf(!small)('refuses a block that it has no memory for, and allocates fewer from then on', async () => {
    const ort = runtime();
    // The budget allows three blocks of 2 GiB.
    const large: KvLayout = { ...layout, blockTokens: 2 ** 20 };
    const bytes = new Uint8Array(blockBytes(large));
    const options = { layout: large, blockBudgetBytes: 3 * bytes.length, slots: 1, capacityTokens: 64 };
    const device = await WebGpuDevice.open({ runtime: ort, provider, ...options });
    const block = device.allocateBlock()!;
    const failed = device.upload(block, bytes);
    await expect(failed).rejects.toThrow(Unavailable);
    await expect(failed).rejects.toThrow(/cannot allocate a buffer of 2147483648 bytes/);
    expect(device.copies().h2d).toBeLessThan(bytes.length);
    device.freeBlock(block);
    expect(device.allocateBlock()).toBeNull();
    device.close();
    ort.release();
  });
});
