import type { Clock } from '../../../src/clock.js';
import type { MetricsRegistry } from '../../../src/metrics/registry.js';
import { type HttpRoute, json } from '../route.js';
import { SharedText } from '../shared-text.js';

/** `GET /version` and `GET /metrics`. */
export function aboutRoutes(
  version: string,
  registry: MetricsRegistry,
  clock: Clock,
  metricsAgeMs: number,
): HttpRoute[] {
  const metrics = new SharedText(() => registry.text(), clock, metricsAgeMs);
  return [
    {
      method: 'GET',
      path: '/version',
      about: { summary: 'The version of shoal.' },
      access: 'open',
      pages: 'allowed',
      handle: () => json({ version }),
    },
    {
      method: 'GET',
      path: '/metrics',
      about: { summary: 'The metrics as Prometheus text.', answers: { 200: ['text/plain'] } },
      access: 'metrics',
      handle: async () => ({ kind: 'text', contentType: registry.contentType, text: await metrics.get() }),
    },
  ];
}
