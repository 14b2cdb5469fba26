import { callCounter } from './call-counter.js';
import type { Counter, MetricsRegistry } from './registry.js';
import { RequestMetrics } from './request-metrics.js';

/** The metrics of a coordinator. */
export class CoordinatorMetrics {
  readonly requests: RequestMetrics;
  readonly calls: Counter<'path'>;
  readonly promptsQuarantined: Counter;
  readonly poisonRefused: Counter;

  constructor(readonly registry: MetricsRegistry) {
    this.requests = new RequestMetrics(registry);
    this.calls = callCounter(registry);
    this.promptsQuarantined = registry.counter({
      name: 'shoal_prompts_quarantined_total',
      help: 'Prompts that this coordinator quarantined because they crashed workers.',
    });
    this.poisonRefused = registry.counter({
      name: 'shoal_poisonous_requests_refused_total',
      help: 'Sequences that were refused because their prompt is quarantined.',
    });
    // Prometheus sees the first increase of a series only if the series existed before.
    for (const status of ['200', '422', '429', '500', '503']) this.requests.total.add(0, { status });
  }
}
