import type { TierName } from '../core/block.js';
import { FETCH_SECONDS } from './buckets.js';
import { callCounter } from './call-counter.js';
import { IntegrityFailures } from './integrity-failures.js';
import type { Counter, Gauge, Histogram, MetricsRegistry } from './registry.js';
import { RequestMetrics } from './request-metrics.js';

/** The metrics of a worker. */

/** The use of one tier of a worker's cache. */
export interface TierUse {
  readonly tier: TierName;
  readonly blocks: number;
  readonly bytes: number;
  readonly budgetBytes: number;
}

/** The metrics of a worker. */
export class WorkerMetrics {
  readonly requests: RequestMetrics;
  readonly calls: Counter<'path'>;
  readonly guessedTokens: Counter<'outcome'>;
  readonly evictions: Counter<'tier' | 'reason'>;
  readonly fetchSeconds: Histogram;
  readonly fetchBytes: Counter<'direction'>;
  readonly fetchFailures: Counter<'reason'>;
  readonly replicationLagBlocks: Gauge;
  readonly underReplicatedBlocks: Gauge;
  readonly replicationNoRoomBlocks: Gauge;
  readonly rebalancedBlocks: Counter;
  readonly deviceCopyBytes: Counter<'direction'>;
  readonly integrityFailures: IntegrityFailures;
  readonly audits: Counter<'outcome'>;
  readonly wrongBlocks: Counter;

  constructor(readonly registry: MetricsRegistry) {
    this.requests = new RequestMetrics(registry);
    this.calls = callCounter(registry);
    this.guessedTokens = registry.counter({
      name: 'shoal_guessed_tokens_total',
      help: 'Tokens of answers that were guessed and computed together (--speculate), by outcome (right, wrong).',
      labels: ['outcome'],
    });
    this.evictions = registry.counter({
      name: 'shoal_cache_evictions_total',
      help: 'Blocks dropped, by tier and reason.',
      labels: ['tier', 'reason'],
    });
    this.fetchSeconds = registry.histogram({
      name: 'shoal_peer_fetch_seconds',
      help: 'Seconds to fetch blocks from a peer for one request.',
      buckets: FETCH_SECONDS,
    });
    this.fetchBytes = registry.counter({
      name: 'shoal_peer_fetch_bytes_total',
      help: 'Bytes of blocks transferred between peers, by direction (in, out).',
      labels: ['direction'],
    });
    this.fetchFailures = registry.counter({
      name: 'shoal_peer_fetch_failures_total',
      help: 'Failed fetches from peers, by reason.',
      labels: ['reason'],
    });
    this.replicationLagBlocks = registry.gauge({
      name: 'shoal_replication_lag_blocks',
      help: 'Blocks waiting to be pushed to their homes.',
    });
    this.underReplicatedBlocks = registry.gauge({
      name: 'shoal_under_replicated_blocks',
      help: 'Blocks of this worker that have too few copies, as far as the worker knows.',
    });
    this.replicationNoRoomBlocks = registry.gauge({
      name: 'shoal_replication_no_room_blocks',
      help: 'Blocks of this worker that another home had no free memory for when the two compared their blocks.',
    });
    this.rebalancedBlocks = registry.counter({
      name: 'shoal_rebalance_moved_blocks_total',
      help: 'Blocks moved after a change of the ring.',
    });
    this.deviceCopyBytes = registry.counter({
      name: 'shoal_device_copy_bytes_total',
      help: 'Bytes copied to, from and within the device (h2d, d2h, d2d).',
      labels: ['direction'],
    });
    this.integrityFailures = new IntegrityFailures(registry);
    this.audits = registry.counter({
      name: 'shoal_audits_total',
      help: 'Cached prefixes computed again and compared, by outcome (right, wrong; skipped: no time, or nothing left to compare).',
      labels: ['outcome'],
    });
    this.wrongBlocks = registry.counter({
      name: 'shoal_wrong_blocks_dropped_total',
      help: 'Blocks dropped because an audit found them wrong, or because they stand on a wrong one.',
    });
    // Prometheus sees the first increase of a series only if the series existed before.
    for (const direction of ['in', 'out']) this.fetchBytes.add(0, { direction });
    for (const outcome of ['right', 'wrong']) this.guessedTokens.add(0, { outcome });
    for (const outcome of ['right', 'wrong', 'skipped']) this.audits.add(0, { outcome });
  }

  /** Registers the gauge of the disk. Each scrape calls `away`. Call it once. */
  watchDisk(away: () => boolean): void {
    const help = '1 while the disk of the disk cache does not answer, and the worker does without it; else 0.';
    this.registry.gauge({ name: 'shoal_disk_away', help }, (gauge) => gauge.set(away() ? 1 : 0));
  }

  /** Registers the gauges of the cache. Each scrape calls `tiers`. Call it once. */
  watchCache(tiers: () => readonly TierUse[]): void {
    const gauge = (name: string, help: string, value: (use: TierUse) => number) =>
      this.registry.gauge({ name, help, labels: ['tier'] }, (g) => {
        for (const use of tiers()) g.set(value(use), { tier: use.tier });
      });
    gauge('shoal_cache_blocks', 'Blocks in the cache, by tier.', (use) => use.blocks);
    gauge('shoal_cache_bytes', 'Bytes of blocks in the cache, by tier.', (use) => use.bytes);
    gauge('shoal_cache_budget_bytes', 'Budget of the cache in bytes, by tier.', (use) => use.budgetBytes);
  }
}
