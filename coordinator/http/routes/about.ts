import type { MetricsRegistry } from '../../../src/metrics/registry.js';
import { json, type Route } from '../route.js';

/** `GET /version` and `GET /metrics`. */
export function aboutRoutes(version: string, registry: MetricsRegistry): Route[] {
  return [
    { method: 'GET', path: '/version', access: 'open', handle: () => json({ version }) },
    {
      method: 'GET',
      path: '/metrics',
      access: 'open',
      handle: async () => ({ kind: 'text', contentType: registry.contentType, text: await registry.text() }),
    },
  ];
}
