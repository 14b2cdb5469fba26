import { expect, test } from 'vitest';
import { leastLanes, readMemory, readProperties, vulkanAdapters } from '../../../../src/device/webgpu/vulkan.js';
import { webGpuMissing } from '../../../support/software-vulkan.js';

test('reads the type and the name of an adapter', () => {
  const bytes = new Uint8Array(1024).fill(0xff);
  const view = new DataView(bytes.buffer);
  view.setUint32(16, 2, true);
  bytes.set(new TextEncoder().encode('A GPU\0'), 20);
  expect(readProperties(bytes)).toEqual({ type: 'discrete', name: 'A GPU' });
  view.setUint32(16, 4, true);
  expect(readProperties(bytes).type).toBe('software');
  view.setUint32(16, 99, true);
  expect(readProperties(bytes).type).toBe('other');
});

test("sums an adapter's device-local heaps", () => {
  const bytes = new Uint8Array(1024);
  const view = new DataView(bytes.buffer);
  view.setUint32(260, 3, true);
  for (const [heap, flags] of [1, 0, 1].entries()) {
    view.setBigUint64(264 + 16 * heap, BigInt(10 ** (heap + 9)), true);
    view.setUint32(264 + 16 * heap + 8, flags, true);
  }
  expect(readMemory(bytes)).toBe(1e9 + 1e11);
});

test('takes the fewest lanes that a driver states', () => {
  expect(leastLanes(32, 8)).toBe(8);
  expect(leastLanes(4, 0)).toBe(4);
  expect(leastLanes(0, 0)).toBeNull();
});

test.skipIf(webGpuMissing() !== null)('finds the adapters of this machine', () => {
  const adapters = vulkanAdapters();
  expect(adapters).toEqual(
    expect.arrayContaining([
      {
        name: expect.stringMatching(/./),
        type: expect.stringMatching(/./),
        memoryBytes: expect.any(Number),
        subgroupLanes: expect.any(Number),
      },
    ]),
  );
});
