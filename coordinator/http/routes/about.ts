import type { MetricsRegistry } from '../../../src/metrics/registry.js';
import { type HttpRoute, json } from '../route.js';

/** `GET /version` and `GET /metrics`. */
export function aboutRoutes(version: string, registry: MetricsRegistry): HttpRoute[] {
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
