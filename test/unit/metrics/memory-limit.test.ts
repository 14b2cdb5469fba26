import { expect, it } from 'vitest';
import { memoryLimit, watchMemoryLimit } from '../../../src/metrics/memory-limit.js';
import { MetricsRegistry } from '../../../src/metrics/registry.js';

it('the limit on memory is that of the container, else the memory of the machine', () => {
  expect([memoryLimit(2e9, 16e9), memoryLimit(0, 16e9), memoryLimit(2 ** 63, 16e9)]).toEqual([2e9, 16e9, 16e9]);
});

it('the limit on memory is a metric', async () => {
  const registry = new MetricsRegistry();
  watchMemoryLimit(registry);
  expect(Number(/^shoal_memory_limit_bytes (\S+)$/m.exec(await registry.text())![1])).toBeGreaterThan(2 ** 26);
});
