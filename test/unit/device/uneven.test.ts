import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blockBytes, ELEMENT_BYTES, type KvLayout, tokenBytes } from '../../../src/core/kv-layout.js';
import { CpuDevice } from '../../../src/device/cpu/cpu-device.js';
import type { KvSlot } from '../../../src/device/device.js';
import { openDevice } from '../../../src/device/open.js';
import { Refused } from '../../../src/errors.js';
import { OrtRuntime } from '../../../src/ort/runtime.js';

/** Devices with K and V of several sizes. */

const BLOCK_TOKENS = 4;

let runtime: OrtRuntime;
beforeAll(() => {
  runtime = OrtRuntime.open();
});
afterAll(() => runtime.release());

const size = fc.record({ kvHeads: fc.integer({ min: 1, max: 3 }), headDim: fc.integer({ min: 1, max: 9 }) });
const layouts: fc.Arbitrary<KvLayout> = fc
  .record({
    shapes: fc.array(fc.tuple(size, size), { minLength: 1, maxLength: 3 }),
    elementType: fc.constantFrom('float32' as const, 'float16' as const, 'int8' as const),
  })
  .map(({ shapes, elementType }) => {
    const uneven = shapes.flat();
    return { ...uneven[0]!, layers: shapes.length, uneven, blockTokens: BLOCK_TOKENS, elementType };
  });

/** The bytes of a block: tensor by tensor, head by head, token by token. */
function block(layout: KvLayout, seed: number, position: number): Uint8Array {
  const bytes: number[] = [];
  for (const [tensor, { kvHeads, headDim }] of layout.uneven!.entries())
    for (let head = 0; head < kvHeads; head++)
      for (let token = position; token < position + BLOCK_TOKENS; token++)
        for (let byte = 0; byte < headDim * ELEMENT_BYTES[layout.elementType]; byte++)
          bytes.push(Math.imul((((seed * 31 + tensor) * 31 + head) * 4099 + token) * 67 + byte, 0x9e3779b1) >>> 24);
  return Uint8Array.from(bytes);
}

describe('a device whose K and V differ in size', () => {
  it('cuts what was joined, from rows, moved rows and loose slots', async () => {
    await fc.assert(
      fc.asyncProperty(layouts, fc.nat({ max: 9 }), fc.nat({ max: 99 }), async (layout, position, seed) => {
        const [slots, capacityTokens] = [3, 20];
        const blockBudgetBytes = 4 * blockBytes(layout);
        const device = new CpuDevice({ runtime, layout, blockBudgetBytes, slots, capacityTokens });
        const loose = await device.looseTensors(capacityTokens);
        const [one, two, into] = [device.allocateBlock()!, device.allocateBlock()!, device.allocateBlock()!];
        await device.upload(one, block(layout, seed, position));
        await device.upload(two, block(layout, seed, position + BLOCK_TOKENS));
        const expectAt = async (slot: KvSlot, at: number) => {
          await device.cut(slot, at, into);
          const bytes = new Uint8Array(blockBytes(layout));
          await device.download(into, bytes);
          expect(bytes).toEqual(block(layout, seed, at));
        };
        for (const slot of [device.slot(1), device.looseSlot(loose)]) {
          await device.join(slot, position, [one, two]);
          for (let at = position; at <= position + BLOCK_TOKENS; at++) await expectAt(slot, at);
        }
        await device.moveRow(1, 2, position + 2 * BLOCK_TOKENS);
        await expectAt(device.slot(2), position + 1);
        expect(device.memory().sequenceBytes).toBe(slots * capacityTokens * tokenBytes(layout));
        expect(device.rows(1, 2).map(({ shape }) => shape)).toEqual(
          layout.uneven!.map(({ kvHeads, headDim }) => [2, kvHeads, capacityTokens, headDim]),
        );
        for (const value of loose) value.release();
        for (const taken of [one, two, into]) device.freeBlock(taken);
        device.close();
      }),
      { numRuns: 40 },
    );
  });

  it('refuses loose tensors in the wrong order', async () => {
    const uneven = [
      { kvHeads: 2, headDim: 6 },
      { kvHeads: 2, headDim: 4 },
    ];
    const layout: KvLayout = { ...uneven[0]!, layers: 1, uneven, blockTokens: 4, elementType: 'float32' };
    const device = new CpuDevice({
      runtime,
      layout,
      blockBudgetBytes: blockBytes(layout),
      slots: 1,
      capacityTokens: 8,
    });
    const values = await device.looseTensors(8);
    expect(() => device.looseSlot([...values].reverse())).toThrow(/a loose slot needs 2 tensors/);
    for (const value of values) value.release();
    device.close();
  });

  it.each(['webgpu', 'cuda'] as const)('is refused as %s device, with another to use', async (name) => {
    const uneven = [
      { kvHeads: 4, headDim: 192 },
      { kvHeads: 4, headDim: 128 },
    ];
    const layout: KvLayout = { ...uneven[0]!, layers: 1, uneven, blockTokens: 64, elementType: 'float32' };
    const options = { layout, blockBudgetBytes: 1, slots: 1, capacityTokens: 64 };
    const provider = name === 'cuda' ? { name, deviceId: 0 } : { name };
    const opening = openDevice(runtime, provider as Parameters<typeof openDevice>[1], options);
    await expect(opening).rejects.toThrow(/differ in size \(4 x 192, 4 x 128\); use --device cpu/);
    await expect(opening).rejects.toBeInstanceOf(Refused);
  });
});
