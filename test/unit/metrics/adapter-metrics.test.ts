import { expect, it } from 'vitest';
import { AdapterRequests, COUNTED_ADAPTERS } from '../../../src/metrics/adapter-metrics.js';
import { MetricsRegistry } from '../../../src/metrics/registry.js';

it('requests have the names of a bounded number of adapters', async () => {
  const registry = new MetricsRegistry();
  const requests = new AdapterRequests(registry);
  for (let i = 0; i < COUNTED_ADAPTERS + 9; i++) requests.add(`a${i}`);
  requests.add('a0');
  const lines = (await registry.text()).split('\n').filter((line) => line.startsWith('shoal_adapter_requests_total'));
  expect(lines.length).toBe(COUNTED_ADAPTERS + 1);
  expect(lines).toContain('shoal_adapter_requests_total{adapter="a0"} 2');
  expect(lines).toContain('shoal_adapter_requests_total{adapter="other"} 9');
});
