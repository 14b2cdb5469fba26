import type { MetricsRegistry } from './registry.js';
import { RequestMetrics } from './request-metrics.js';

/** What a coordinator measures. */
export class CoordinatorMetrics {
  readonly requests: RequestMetrics;

  constructor(readonly registry: MetricsRegistry) {
    this.requests = new RequestMetrics(registry);
    // An increase is seen only of what was there before.
    for (const status of ['200', '429', '500', '503']) this.requests.total.add(0, { status });
  }
}
