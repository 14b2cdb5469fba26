import type { Counter, MetricsRegistry } from './registry.js';

/** Counts the calls of this process by the route on which each set out. */
export function callCounter(registry: MetricsRegistry): Counter<'path'> {
  const calls = registry.counter({
    name: 'shoal_calls_total',
    help: 'Calls of this process to actors, by route: direct (a connection of their own), nats, or local.',
    labels: ['path'],
  });
  // A rate is seen only of a series that was there before.
  for (const path of ['direct', 'nats', 'local']) calls.add(0, { path });
  return calls;
}
