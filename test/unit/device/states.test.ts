import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blockBytes, type KvLayout } from '../../../src/core/kv-layout.js';
import { CpuDevice } from '../../../src/device/cpu/cpu-device.js';
import { openDevice } from '../../../src/device/open.js';
import { OrtRuntime } from '../../../src/ort/runtime.js';

/** Devices with the states of layers without K/V. */

const LAYOUT: KvLayout = {
  ...{ layers: 1, kvHeads: 2, headDim: 3, blockTokens: 4, elementType: 'float16' },
  states: [
    { dims: [5, 2], elementType: 'float32' },
    { dims: [3], elementType: 'float16' },
  ],
};
const KV_BYTES = 2 * 2 * 3 * 4 * 2;
const STATE_BYTES = 5 * 2 * 4 + 3 * 2;

let runtime: OrtRuntime;
beforeAll(() => {
  runtime = OrtRuntime.open();
});
afterAll(() => runtime.release());

/** A block of distinct bytes. */
const block = (first: number) => Uint8Array.from({ length: blockBytes(LAYOUT) }, (_, i) => (first + i) & 0xff);

describe('a block with states', () => {
  it('has them after its K/V', () => {
    expect(blockBytes(LAYOUT)).toBe(KV_BYTES + STATE_BYTES);
  });

  it('gives a slot the states of the last block that is joined, and a cut takes those of the slot', async () => {
    const device = new CpuDevice({
      ...{ runtime, layout: LAYOUT, slots: 1, capacityTokens: 8 },
      blockBudgetBytes: 3 * blockBytes(LAYOUT),
    });
    const tensors = await device.looseTensors(8);
    expect(tensors.map(({ elementType, shape }) => `${elementType}[${shape}]`)).toEqual([
      ...['float16[1,2,8,3]', 'float16[1,2,8,3]'],
      ...['float32[1,5,2]', 'float16[1,3]'],
    ]);
    for (const state of tensors.slice(2)) expect(state.bytes().every((byte) => byte === 0)).toBe(true);
    const [one, two, into] = [device.allocateBlock()!, device.allocateBlock()!, device.allocateBlock()!];
    await device.upload(one, block(3));
    await device.upload(two, block(100));
    const slot = device.looseSlot(tensors);
    await device.join(slot, 0, [one, two]);
    const cut = async (position: number) => {
      await device.cut(slot, position, into);
      const bytes = new Uint8Array(blockBytes(LAYOUT));
      await device.download(into, bytes);
      return bytes;
    };
    expect(await cut(4)).toEqual(block(100));
    expect((await cut(0)).subarray(0, KV_BYTES)).toEqual(block(3).subarray(0, KV_BYTES));
    expect(() => device.looseSlot(tensors.slice(0, 3))).toThrow('a loose slot needs 4 tensors');
    for (const value of tensors) value.release();
    for (const taken of [one, two, into]) device.freeBlock(taken);
    device.close();
  });

  it.each(['webgpu', 'cuda'] as const)('is refused by the %s device, with another to use', async (name) => {
    const provider = name === 'cuda' ? { name, deviceId: 0 } : { name };
    const options = { layout: LAYOUT, blockBudgetBytes: 1, slots: 1, capacityTokens: 64 };
    await expect(openDevice(runtime, provider as Parameters<typeof openDevice>[1], options)).rejects.toThrow(
      /some of its layers have a state instead of K\/V; use --device cpu/,
    );
  });
});
