import { AdapterRequests } from './adapter-metrics.js';
import { callCounter } from './call-counter.js';
import type { Counter, MetricsRegistry } from './registry.js';
import { RequestMetrics } from './request-metrics.js';

/** The metrics of a coordinator. */
export class CoordinatorMetrics {
  readonly requests: RequestMetrics;
  readonly calls: Counter<'path'>;
  readonly promptsQuarantined: Counter;
  readonly poisonRefused: Counter;
  readonly auditLogEntries: Counter<'result'>;
  readonly adapters: AdapterRequests;

  constructor(readonly registry: MetricsRegistry) {
    this.requests = new RequestMetrics(registry);
    this.calls = callCounter(registry);
    this.adapters = new AdapterRequests(registry);
    this.promptsQuarantined = registry.counter({
      name: 'shoal_prompts_quarantined_total',
      help: 'Prompts that this coordinator quarantined because they crashed workers.',
    });
    this.poisonRefused = registry.counter({
      name: 'shoal_poisonous_requests_refused_total',
      help: 'Sequences that were refused because their prompt is quarantined.',
    });
    this.auditLogEntries = registry.counter({
      name: 'shoal_audit_log_entries_total',
      help: 'Entries of the audit log (--audit-log), by what became of them: written, or lost because the disk did not take them.',
      labels: ['result'],
    });
    // Prometheus sees the first increase of a series only if the series existed before.
    for (const status of ['200', '422', '429', '500', '503']) this.requests.total.add(0, { status });
    for (const result of ['written', 'lost']) this.auditLogEntries.add(0, { result });
  }
}
