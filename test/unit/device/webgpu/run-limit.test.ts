import { expect, test } from 'vitest';
import { longestRightRunTokens } from '../../../../src/device/webgpu/run-limit.js';
import type { Adapter } from '../../../../src/device/webgpu/vulkan.js';

const adapter = (type: Adapter['type'], subgroupLanes: number | null): readonly Adapter[] => [
  { name: 'An adapter', type, memoryBytes: 1e9, subgroupLanes },
  { name: 'Another', type: 'software', memoryBytes: 1e9, subgroupLanes: 4 },
];

test('bounds runs on adapters with few lanes, and on those in software', () => {
  expect(longestRightRunTokens(adapter('software', 4))).toBe(31);
  expect(longestRightRunTokens(adapter('software', 8))).toBe(31);
  expect(longestRightRunTokens(adapter('integrated', 4))).toBe(31);
  for (const lanes of [8, 32, null]) expect(longestRightRunTokens(adapter('discrete', lanes))).toBe(Infinity);
  expect(longestRightRunTokens('there is no loader')).toBe(Infinity);
});
