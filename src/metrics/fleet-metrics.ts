import type { MemberState } from '../core/member.js';
import type { Accused } from '../core/tribunal.js';
import type { MetricsRegistry } from './registry.js';

/** Gauges of the fleet as this process sees it. */

const STATES: readonly MemberState[] = ['starting', 'serving', 'draining', 'suspect', 'dead'];

/** The fleet as this process sees it. */
export interface FleetCounts {
  /** Hexadecimal. */
  readonly epoch: string;
  readonly workers: readonly { readonly state: MemberState }[];
  readonly natsConnected: boolean;
}

/** Registers the gauges. Each scrape calls `view`. */
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
      help: 'Epoch of the ring as a number. It is equal in two processes that see the same ring; its order has no meaning.',
    },
    (gauge) => gauge.set(epochNumber(view().epoch)),
  );
  registry.gauge(
    { name: 'shoal_nats_connected', help: '1 while this process is connected to NATS, else 0.' },
    (gauge) => gauge.set(view().natsConnected ? 1 : 0),
  );
}

/** Registers the gauge of the store of NATS. Each scrape calls `fault`, which says why a bucket of the fleet does not work; null if all do. */
export function watchStore(registry: MetricsRegistry, fault: () => string | null): void {
  registry.gauge(
    {
      name: 'shoal_store_works',
      help: '1 while the buckets of the fleet in NATS take and keep values, as far as this coordinator knows; else 0 (GET /health says why).',
    },
    (gauge) => gauge.set(fault() === null ? 1 : 0),
  );
}

/** Registers the gauge that an autoscaler follows. Each scrape calls `wanted`. */
export function watchRecommendation(registry: MetricsRegistry, wanted: () => number): void {
  registry.gauge(
    {
      name: 'shoal_fleet_workers_wanted',
      help: 'Workers that the fleet should have, by the load of the last minutes (GET /v1/fleet/recommendation says why).',
    },
    (gauge) => gauge.set(wanted()),
  );
}

/** Registers the gauge of the workers that make wrong blocks. Each scrape calls `accused`. */
export function watchQuarantine(registry: MetricsRegistry, accused: () => readonly Accused[]): void {
  /** An existing series continues at 0. */
  const seen = new Set<string>();
  registry.gauge(
    {
      name: 'shoal_quarantined_workers',
      help: 'For each worker that made wrong blocks: 1 while it is quarantined, or distrusted by this process alone; else 0.',
      labels: ['worker', 'standing'],
    },
    (gauge) => {
      const now = new Map(
        accused().map(({ maker, standing }) => [`${maker.id} ${standing}`, { worker: maker.id, standing }]),
      );
      for (const name of now.keys()) seen.add(name);
      for (const name of seen) {
        const [worker = '', standing = ''] = name.split(' ');
        gauge.set(now.has(name) ? 1 : 0, { worker, standing });
      }
    },
  );
}

/** The first 48 bits of the epoch, which a double represents exactly. */
function epochNumber(epoch: string): number {
  const digits = /^[0-9a-f]{1,12}/i.exec(epoch)?.[0];
  return digits === undefined ? 0 : Number.parseInt(digits, 16);
}
