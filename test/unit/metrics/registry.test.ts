import { describe, expect, it } from 'vitest';
import { CoordinatorMetrics } from '../../../src/metrics/coordinator-metrics.js';
import { watchFleet, watchRecommendation } from '../../../src/metrics/fleet-metrics.js';
import { MetricsRegistry } from '../../../src/metrics/registry.js';
import { RuntimeMetrics } from '../../../src/metrics/runtime-metrics.js';
import { WorkerMetrics } from '../../../src/metrics/worker-metrics.js';

/** The names that the dashboard and the alerts depend on. */
const REQUESTS = [
  'shoal_request_duration_seconds',
  'shoal_time_to_first_token_seconds',
  'shoal_inter_token_latency_seconds',
  'shoal_queue_seconds',
  'shoal_requests_total',
  'shoal_requests_running',
  'shoal_requests_waiting',
  'shoal_prompt_tokens_total',
  'shoal_generated_tokens_total',
  'shoal_requests_resumed_total',
  'shoal_calls_total',
  'shoal_nats_connected',
];
const POISON = ['shoal_prompts_quarantined_total', 'shoal_poisonous_requests_refused_total'];
const COORDINATOR = ['shoal_adapter_requests_total', 'shoal_audit_log_entries_total', 'shoal_fleet_workers_wanted'];
const FLEET = ['shoal_fleet_workers', 'shoal_ring_epoch'];
const CACHE = [
  'shoal_cache_blocks',
  'shoal_cache_bytes',
  'shoal_cache_budget_bytes',
  'shoal_guessed_tokens_total',
  'shoal_cache_evictions_total',
  'shoal_peer_fetch_seconds',
  'shoal_peer_fetch_bytes_total',
  'shoal_peer_fetch_failures_total',
  'shoal_replication_lag_blocks',
  'shoal_replication_no_room_blocks',
  'shoal_under_replicated_blocks',
  'shoal_rebalance_moved_blocks_total',
  'shoal_device_copy_bytes_total',
  'shoal_integrity_failures_total',
  'shoal_audits_total',
  'shoal_wrong_blocks_dropped_total',
];

const RUNTIME = [
  'shoal_actors',
  'shoal_actor_calls_total',
  'shoal_actor_calls_waiting',
  'shoal_actor_call_seconds',
  'shoal_actor_queue_seconds',
  'shoal_actor_restarts_total',
  'shoal_tasks_total',
  'shoal_task_seconds',
];

const namesIn = (text: string) => [...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]);

describe('the metrics of', () => {
  it('a coordinator cover requests and the fleet', async () => {
    const registry = new MetricsRegistry();
    new CoordinatorMetrics(registry);
    watchFleet(registry, () => ({ epoch: '', workers: [], natsConnected: true }));
    watchRecommendation(registry, () => 1);
    expect(namesIn(await registry.text()).sort()).toEqual([...REQUESTS, ...POISON, ...FLEET, ...COORDINATOR].sort());
  });

  it('a worker cover requests, its cache and the fleet', async () => {
    const registry = new MetricsRegistry();
    new WorkerMetrics(registry).watchCache(() => []);
    watchFleet(registry, () => ({ epoch: '', workers: [], natsConnected: true }));
    expect(namesIn(await registry.text()).sort()).toEqual([...REQUESTS, ...FLEET, ...CACHE].sort());
  });

  it('a node cover actors and tasks', async () => {
    const registry = new MetricsRegistry();
    new RuntimeMetrics(registry, () => []);
    expect(namesIn(await registry.text()).sort()).toEqual([...RUNTIME].sort());
  });

  it('a process exist once it is watched', async () => {
    const registry = new MetricsRegistry();
    registry.watchProcess();
    expect(namesIn(await registry.text())).toContain('process_resident_memory_bytes');
  });
});

describe('MetricsRegistry', () => {
  it('counts, sets and observes, by label', async () => {
    const registry = new MetricsRegistry();
    const { requests } = new CoordinatorMetrics(registry);
    requests.total.add(1, { status: '200' });
    requests.total.add(2, { status: '200' });
    requests.running.add(3);
    requests.running.add(-1);
    requests.queueSeconds.observe(0.02);
    const text = await registry.text();
    expect(text).toContain('shoal_requests_total{status="200"} 3');
    expect(text).toContain('shoal_requests_running 2');
    expect(text).toContain('shoal_queue_seconds_bucket{le="0.01"} 0');
    expect(text).toContain('shoal_queue_seconds_bucket{le="0.05"} 1');
    expect(text).toContain('shoal_prompt_tokens_total{source="remote"} 0');
  });

  it('reads the fleet and the cache at each scrape', async () => {
    const registry = new MetricsRegistry();
    let epoch = '0000000000ff';
    let blocks = 1;
    watchFleet(registry, () => ({
      epoch,
      workers: [{ state: 'serving' }, { state: 'serving' }, { state: 'dead' }],
      natsConnected: true,
    }));
    new WorkerMetrics(registry).watchCache(() => [{ tier: 'device', blocks, bytes: 10 * blocks, budgetBytes: 100 }]);
    const before = await registry.text();
    expect(before).toContain('shoal_fleet_workers{state="serving"} 2');
    expect(before).toContain('shoal_fleet_workers{state="suspect"} 0');
    expect(before).toContain('shoal_ring_epoch 255');
    expect(before).toContain('shoal_cache_bytes{tier="device"} 10');
    epoch = '000000000100';
    blocks = 2;
    const after = await registry.text();
    expect(after).toContain('shoal_ring_epoch 256');
    expect(after).toContain('shoal_cache_blocks{tier="device"} 2');
  });
});
