import type { TierName } from '../core/block.js';
import { FETCH_SECONDS } from './buckets.js';
import type { Counter, Gauge, Histogram, MetricsRegistry } from './registry.js';
import { RequestMetrics } from './request-metrics.js';

/** What one tier of a worker's cache holds. */
export interface TierUse {
  readonly tier: TierName;
  readonly blocks: number;
  readonly bytes: number;
  readonly budgetBytes: number;
}

/** What a worker measures. */
export class WorkerMetrics {
  readonly requests: RequestMetrics;
  readonly evictions: Counter<'tier' | 'reason'>;
  readonly fetchSeconds: Histogram;
  readonly fetchBytes: Counter<'direction'>;
  readonly fetchFailures: Counter<'reason'>;
  readonly replicationLagBlocks: Gauge;
  readonly underReplicatedBlocks: Gauge;
  readonly rebalancedBlocks: Counter;
  readonly deviceCopyBytes: Counter<'direction'>;
  readonly integrityFailures: Counter<'stage'>;

  constructor(readonly registry: MetricsRegistry) {
    this.requests = new RequestMetrics(registry);
    this.evictions = registry.counter({
      name: 'shoal_cache_evictions_total',
      help: 'Blocks dropped, by tier and reason.',
      labels: ['tier', 'reason'],
    });
    this.fetchSeconds = registry.histogram({
      name: 'shoal_peer_fetch_seconds',
      help: 'Seconds to fetch blocks for one request from a peer.',
      buckets: FETCH_SECONDS,
    });
    this.fetchBytes = registry.counter({
      name: 'shoal_peer_fetch_bytes_total',
      help: 'Bytes of blocks that went between peers, by direction (in, out).',
      labels: ['direction'],
    });
    this.fetchFailures = registry.counter({
      name: 'shoal_peer_fetch_failures_total',
      help: 'Fetches from peers that failed, by reason.',
      labels: ['reason'],
    });
    this.replicationLagBlocks = registry.gauge({
      name: 'shoal_replication_lag_blocks',
      help: 'Blocks that wait to be pushed to their homes.',
    });
    this.underReplicatedBlocks = registry.gauge({
      name: 'shoal_under_replicated_blocks',
      help: 'Blocks of this worker with fewer copies than wanted, as far as it knows.',
    });
    this.rebalancedBlocks = registry.counter({
      name: 'shoal_rebalance_moved_blocks_total',
      help: 'Blocks moved because the ring changed.',
    });
    this.deviceCopyBytes = registry.counter({
      name: 'shoal_device_copy_bytes_total',
      help: 'Bytes copied to, from and within the device (h2d, d2h, d2d).',
      labels: ['direction'],
    });
    this.integrityFailures = registry.counter({
      name: 'shoal_integrity_failures_total',
      help: 'Blocks refused because their bytes were not what they were said to be, by stage.',
      labels: ['stage'],
    });
    // An increase is seen only of what was there before.
    for (const direction of ['in', 'out']) this.fetchBytes.add(0, { direction });
    for (const stage of ['fetch', 'push']) this.integrityFailures.add(0, { stage });
  }

  /** Has the gauges of the cache read anew each time somebody asks for the metrics. Call once. */
  watchCache(tiers: () => readonly TierUse[]): void {
    const gauge = (name: string, help: string, value: (use: TierUse) => number) =>
      this.registry.gauge({ name, help, labels: ['tier'] }, (g) => {
        for (const use of tiers()) g.set(value(use), { tier: use.tier });
      });
    gauge('shoal_cache_blocks', 'Blocks held, by tier.', (use) => use.blocks);
    gauge('shoal_cache_bytes', 'Bytes of blocks held, by tier.', (use) => use.bytes);
    gauge('shoal_cache_budget_bytes', 'Most bytes of blocks that may be held, by tier.', (use) => use.budgetBytes);
  }
}
