import { callCounter } from './call-counter.js';
import type { Counter, MetricsRegistry } from './registry.js';
import { RequestMetrics } from './request-metrics.js';

/** The metrics of a coordinator. */
export class CoordinatorMetrics {
  readonly requests: RequestMetrics;
  readonly calls: Counter<'path'>;

  constructor(readonly registry: MetricsRegistry) {
    this.requests = new RequestMetrics(registry);
    this.calls = callCounter(registry);
    // Prometheus sees the first increase of a series only if the series existed before.
    for (const status of ['200', '429', '500', '503']) this.requests.total.add(0, { status });
  }
}
