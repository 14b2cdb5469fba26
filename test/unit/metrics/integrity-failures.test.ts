import { expect, it } from 'vitest';
import { FLEET_WORKERS } from '../../../src/limits.js';
import { IntegrityFailures } from '../../../src/metrics/integrity-failures.js';
import { MetricsRegistry } from '../../../src/metrics/registry.js';

it('have a bounded number of series, however many members come and go, and one for all others', async () => {
  const registry = new MetricsRegistry();
  const failures = new IntegrityFailures(registry);
  for (let i = 0; i < 2 * FLEET_WORKERS; i++) {
    failures.joined(`worker-${i}`);
    failures.fromPeer('fetch', `worker-${i}`);
  }
  const series = (await registry.text()).split('\n').filter((line) => line.startsWith('shoal_integrity_failures'));
  expect(series).toHaveLength(2 * FLEET_WORKERS + 3);
  expect(series).toContain(`shoal_integrity_failures_total{stage="fetch",peer="other"} ${FLEET_WORKERS}`);
});
