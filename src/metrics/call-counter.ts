import type { Counter, MetricsRegistry } from './registry.js';

/** A worker and the node beside it have one registry, and so one counter. */
const counters = new WeakMap<MetricsRegistry, Counter<'path'>>();

/** Counts the calls of this process by the route on which each set out. The same counter for the same registry. */
export function callCounter(registry: MetricsRegistry): Counter<'path'> {
  const known = counters.get(registry);
  if (known) return known;
  const calls = registry.counter({
    name: 'shoal_calls_total',
    help: 'Calls of this process to actors, by route: direct (a connection of their own), nats, or local.',
    labels: ['path'],
  });
  // A rate is seen only of a series that was there before.
  for (const path of ['direct', 'nats', 'local']) calls.add(0, { path });
  counters.set(registry, calls);
  return calls;
}
