import type { MetricsRegistry } from './registry.js';
import { RequestMetrics } from './request-metrics.js';

/** What a coordinator measures. */
export class CoordinatorMetrics {
  readonly requests: RequestMetrics;

  constructor(readonly registry: MetricsRegistry) {
    this.requests = new RequestMetrics(registry);
  }
}
