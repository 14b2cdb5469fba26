import type { Counter, MetricsRegistry } from './registry.js';

/** The figures that a scrape reads: the adapters in a worker's memory. */
export interface AdapterUse {
  readonly adapters: number;
  readonly bytes: number;
  readonly budgetBytes: number;
}

/** The metrics of a worker's LoRA adapters. */
export class AdapterMetrics {
  readonly loads: Counter<'result'>;
  readonly evictions: Counter;

  constructor(registry: MetricsRegistry, use: () => AdapterUse) {
    const gauge = (name: string, help: string, value: (use: AdapterUse) => number) =>
      registry.gauge({ name, help }, (port) => port.set(value(use())));
    gauge('shoal_adapters', 'LoRA adapters in the memory of this worker.', ({ adapters }) => adapters);
    gauge('shoal_adapter_bytes', 'Bytes of adapters that are loaded or being loaded.', ({ bytes }) => bytes);
    gauge('shoal_adapter_budget_bytes', 'Budget for adapters in bytes.', ({ budgetBytes }) => budgetBytes);
    this.loads = registry.counter({
      name: 'shoal_adapter_loads_total',
      help: 'Adapters that were read into memory, by result (loaded, failed).',
      labels: ['result'],
    });
    this.evictions = registry.counter({
      name: 'shoal_adapter_evictions_total',
      help: 'Adapters dropped because their memory was needed for others.',
    });
    for (const result of ['loaded', 'failed']) this.loads.add(0, { result });
  }
}

/** Names that a process counts apart; the requests of all later ones are counted under `other`. @internal exported for tests. */
export const COUNTED_ADAPTERS = 64;

/** Counts the requests of a coordinator for each adapter. */
export class AdapterRequests {
  private readonly counter: Counter<'adapter'>;
  private readonly names = new Set<string>();

  constructor(registry: MetricsRegistry) {
    this.counter = registry.counter({
      name: 'shoal_adapter_requests_total',
      help: `Requests for adapters, by name; beyond ${COUNTED_ADAPTERS} names, under other.`,
      labels: ['adapter'],
    });
  }

  add(name: string): void {
    if (this.names.size < COUNTED_ADAPTERS) this.names.add(name);
    this.counter.add(1, { adapter: this.names.has(name) ? name : 'other' });
  }
}
