import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { blockBytes, type KvLayout } from '../../src/core/kv-layout.js';
import type { Device, DeviceBlock, DeviceOptions } from '../../src/device/device.js';
import { Refused } from '../../src/errors.js';
import { viewMemory } from '../../src/native/ffi.js';
import { liveHandles } from '../../src/native/handle.js';
import type { DeviceAllocator } from '../../src/ort/device-memory.js';
import { Value } from '../../src/ort/value.js';
import { CudaStandIn } from '../support/cuda/stand-in.js';
import { type DeviceHarness, deviceContract } from './device.contract.js';

/** The cuda device over a stand-in for the GPU, its runtime library and ONNX Runtime's provider, which refuse what their headers forbid. */

/** Opens devices on a stand-in, with slabs of two blocks, so that a budget has several. */
function standIn() {
  const cuda = new CudaStandIn();
  return {
    gpu: cuda.gpu,
    open: (options: DeviceOptions) => cuda.open(options, 2 * blockBytes(options.layout) + 1),
    close: () => {
      expect(cuda.close()).toEqual([]);
      expect(liveHandles()).toEqual({});
    },
  };
}

function makeHarness(): DeviceHarness {
  const { gpu, open, close } = standIn();
  const values: Value[] = [];
  return {
    open,
    supports: () => true,
    cases: (max) => max,
    tensor: async (device, { elementType }, shape, bytes) => {
      const memory = (device.loosePlace as DeviceAllocator).allocate(bytes.length);
      const value = Value.view(memory, 0, elementType, shape);
      memory.release();
      viewMemory(value.address, bytes.length).set(bytes);
      values.push(value);
      return value;
    },
    read: async (value) => viewMemory(value.address, value.byteLength).slice(),
    close: () => {
      for (const value of values) value.release();
      expect(gpu.library.refusals).toEqual([]);
      close();
    },
  };
}

deviceContract('cuda', makeHarness);

describe('a cuda device', () => {
  const layout: KvLayout = { layers: 2, kvHeads: 3, headDim: 4, blockTokens: 4, elementType: 'float16' };
  const size = blockBytes(layout);
  const options = { layout, blockBudgetBytes: 7 * size, slots: 2, capacityTokens: 12 };
  const rowBytes = 12 * (size / layout.blockTokens / (2 * layout.layers));
  let made: ReturnType<typeof standIn>;
  beforeEach(() => {
    made = standIn();
  });
  afterEach(() => made.close());

  /** Fills all blocks, each with bytes of its own, then reads and frees them. */
  async function expectApart(device: Device, blocks: readonly DeviceBlock[]): Promise<void> {
    for (const [i, block] of blocks.entries()) await device.upload(block, new Uint8Array(size).fill(i));
    const into = new Uint8Array(size);
    for (const [i, block] of blocks.entries()) {
      await device.download(block, into);
      expect(into).toEqual(new Uint8Array(size).fill(i));
      device.freeBlock(block);
    }
  }

  test('is refused at its start if its slots do not fit, with the remedy, and frees those that did', async () => {
    made.gpu.heap.limitBytes = 3 * 2 * rowBytes;
    await expect(made.open(options)).rejects.toThrow(Refused);
    await expect(made.open(options)).rejects.toThrow(
      /2 slots of 12 tokens on the cuda device: out of memory for 4 buffers of \d+ bytes; set fewer --sequences/,
    );
  });

  test('that runs out of memory has as many blocks as fit, and their bytes stay right', async () => {
    const device = await made.open(options);
    made.gpu.heap.limitBytes = made.gpu.heap.usedBytes + 5 * size;
    const blocks: DeviceBlock[] = [];
    for (let block = device.allocateBlock(); block !== null; block = device.allocateBlock()) blocks.push(block);
    // Two slabs of two blocks; the third needs two more.
    expect(blocks).toHaveLength(4);
    expect(device.memory()).toMatchObject({ blocks: 4, capacityBlocks: 4, blockBytes: 4 * size });
    await expectApart(device, blocks);
    device.close();
  });

  test('keeps each block of several slabs apart, the last slab being smaller', async () => {
    const device = await made.open(options);
    const blocks = Array.from({ length: 7 }, () => device.allocateBlock()!);
    await expectApart(device, blocks);
    device.close();
  });

  test('frees the tensors of a loose slot if one of them does not fit', async () => {
    const device = await made.open(options);
    const before = made.gpu.heap.usedBytes;
    made.gpu.heap.limitBytes = before + 2.5 * rowBytes;
    await expect(device.looseTensors(12)).rejects.toMatchObject({ outOfMemory: true });
    expect(made.gpu.heap.usedBytes).toBe(before);
    device.close();
  });

  test.each([
    ['cudaMemcpy2DAsync', 'copy within the device', 12],
    ['cudaStreamSynchronize', 'wait for copies', 719],
  ])('a cut fails with the error of %s', async (call, action, status) => {
    const device = await made.open(options);
    const block = device.allocateBlock()!;
    made.gpu.library.failing = { call, status };
    await expect(device.cut(device.slot(0), 0, block)).rejects.toThrow(
      `CUDA cannot ${action}: error ${status} (${status})`,
    );
    await device.cut(device.slot(0), 0, block);
    device.freeBlock(block);
    device.close();
  });

  test('an upload and a download fail with the error of cudaMemcpy, and are not counted', async () => {
    const device = await made.open(options);
    const block = device.allocateBlock()!;
    const before = device.copies();
    made.gpu.library.failing = { call: 'cudaMemcpy', status: 700 };
    await expect(device.upload(block, new Uint8Array(size))).rejects.toThrow('CUDA cannot copy to the device');
    made.gpu.library.failing = { call: 'cudaMemcpy', status: 700 };
    await expect(device.download(block, new Uint8Array(size))).rejects.toThrow('CUDA cannot copy from the device');
    expect(device.copies()).toEqual(before);
    device.freeBlock(block);
    device.close();
  });
});
