import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BlockPlaces } from '../../../src/device/block-places.js';
import type { DeviceBlock } from '../../../src/device/device.js';

test('allocates each place to one block at a time, and never more places than the limit, even after it shrinks', () => {
  const step = fc.oneof(
    fc.constant('take' as const),
    fc.record({ give: fc.nat() }),
    fc.record({ shrink: fc.integer({ min: 3, max: 8 }) }),
  );
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const places = new BlockPlaces(8);
      const held: DeviceBlock[] = [];
      let limit = 8;
      for (const step of steps) {
        if (step === 'take') {
          const block = places.allocate();
          if (block === null) continue;
          expect(places.placeOf(block)).toBeLessThan(limit);
          held.push(block);
        } else if ('give' in step) {
          const [block] = held.splice(step.give % Math.max(1, held.length), 1);
          if (block) places.free(block);
        } else {
          limit = Math.min(limit, step.shrink);
          places.shrink(step.shrink);
        }
        expect(places.size).toBe(held.length);
        expect(places.capacityBlocks).toBe(limit);
        expect(new Set(held.map((block) => places.placeOf(block))).size).toBe(held.length);
      }
      const within = held.filter((block) => places.placeOf(block) < limit).length;
      let more = 0;
      while (places.allocate() !== null) more += 1;
      expect(within + more).toBe(limit);
    }),
  );
});

test('detects blocks that are freed twice, or on another device', () => {
  const [places, others] = [new BlockPlaces(2), new BlockPlaces(2)];
  const block = places.allocate()!;
  expect(() => others.free(block)).toThrow(/another device/);
  expect(() => places.close()).toThrow(/1 of its blocks/);
  places.free(block);
  expect(() => places.free(block)).toThrow(/freed/);
  places.close();
  expect(places.allocate()).toBeNull();
});
