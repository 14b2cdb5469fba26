import { totalmem } from 'node:os';
import type { MetricsRegistry } from './registry.js';

/** The memory that a process may use, as a metric. */

/** Adds the memory that this process may use, beside which its resident memory is seen. */
export function watchMemoryLimit(registry: MetricsRegistry): void {
  const limit = registry.gauge({
    name: 'shoal_memory_limit_bytes',
    help: 'Memory that this process may use: the limit of its container, else the memory of the machine.',
  });
  limit.set(memoryLimit(process.constrainedMemory(), totalmem()));
}

/**
 * @param constrained bytes, as Node has them: 0 or more than the machine has if there is no limit
 * @internal
 */
export function memoryLimit(constrained: number, machine: number): number {
  return constrained > 0 && constrained < machine ? constrained : machine;
}
