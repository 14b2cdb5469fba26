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
    serves: ({ headDim, elementType }) => (headDim * ELEMENT_BYTES[elementType]) % 4 === 0,
    cases: (most) => Math.ceil(most / 4),
    tensor: async (device, { elementType }, shape, bytes) => {
      const memory = (device.loosePlace as DeviceAllocator).allocate(bytes.length);
      const value = Value.over(memory, 0, elementType, shape);
      memory.release();
      values.push(value);
      const source = Value.overBytes(runtime, bytes, elementType, shape);
      await locks.webgpu.run(() => copyTensor(source, value));
      source.release();
      return value;
    },
    read: async (value) => {
      const bytes = new Uint8Array(value.byteLength);
      const target = Value.overBytes(runtime, bytes, value.elementType, value.shape);
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

describe.skipIf(missing !== null)('a webgpu device that has no more memory', () => {
  const layout: KvLayout = { layers: 1, kvHeads: 4, headDim: 64, blockTokens: 64, elementType: 'float32' };
  // More than any device gives in one buffer; ONNX Runtime says on stderr what the device says of it.
  const runtime = () => OrtRuntime.open({ logLevel: 'fatal' });

  test('refuses sequences at its start, and says what to give less of', async () => {
    const ort = runtime();
    const options = { layout, blockBudgetBytes: 2 ** 20, slots: 250, capacityTokens: 500_000 };
    await expect(WebGpuDevice.open({ runtime: ort, provider, ...options })).rejects.toThrow(
      /no room for 250 sequences of 500000 tokens \(\d+ bytes, in 4 buffers\): give fewer --sequences or a smaller --context/,
    );
    ort.release();
    expect(liveHandles()).toEqual({});
  });

  // What is too much for a GPU is too much for a test.
  const adapters = vulkanAdapters();
  const small = typeof adapters !== 'string' && adapters[0]!.type === 'software';

  test.skipIf(!small)('refuses a block that it has no memory for, and lends fewer from then on', async () => {
    const ort = runtime();
    // Blocks of 2 GiB, of which the budget allows three.
    const large: KvLayout = { ...layout, blockTokens: 2 ** 20 };
    const bytes = new Uint8Array(blockBytes(large));
    const options = { layout: large, blockBudgetBytes: 3 * bytes.length, slots: 1, capacityTokens: 64 };
    const device = await WebGpuDevice.open({ runtime: ort, provider, ...options });
    const block = device.allocateBlock()!;
    const failed = device.upload(block, bytes);
    await expect(failed).rejects.toThrow(Unavailable);
    await expect(failed).rejects.toThrow(/no memory for a buffer of 2147483648 bytes/);
    expect(device.copies().h2d).toBeLessThan(bytes.length);
    device.freeBlock(block);
    expect(device.allocateBlock()).toBeNull();
    device.close();
    ort.release();
  });
});
