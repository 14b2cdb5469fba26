import type { MemberState } from '../core/member.js';
import type { MetricsRegistry } from './registry.js';

const STATES: readonly MemberState[] = ['starting', 'serving', 'draining', 'suspect', 'dead'];

/** What a process knows of the fleet. */
export interface FleetCounts {
  /** Hexadecimal digits. */
  readonly epoch: string;
  readonly workers: readonly { readonly state: MemberState }[];
}

/** Gauges of the fleet as this process sees it, read anew each time somebody asks for the metrics. */
export function watchFleet(registry: MetricsRegistry, view: () => FleetCounts): void {
  registry.gauge(
    { name: 'shoal_fleet_workers', help: 'Workers, by state, as this process sees them.', labels: ['state'] },
    (gauge) => {
      const { workers } = view();
      for (const state of STATES) gauge.set(workers.filter((w) => w.state === state).length, { state });
    },
  );
  registry.gauge(
    {
      name: 'shoal_ring_epoch',
      help: 'The epoch of the ring as a number: equal where two processes see the same ring, with no order.',
    },
    (gauge) => gauge.set(epochNumber(view().epoch)),
  );
}

/** The first 48 bits, which a double holds exactly. */
function epochNumber(epoch: string): number {
  const digits = /^[0-9a-f]{1,12}/i.exec(epoch)?.[0];
  return digits === undefined ? 0 : Number.parseInt(digits, 16);
}
