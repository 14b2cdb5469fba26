import type { HistorySeries } from '../../src/console/feed-messages.js';
import type { ActivityNews } from './worker-activities.js';

/** The last hour of the fleet in a fixed amount of memory, so that the console can plot it without another program. */

/** Time between two values of a series. */
export const HISTORY_STEP_MS = 2_000;
/** Values of a series: one hour. @internal exported for tests. */
export const HISTORY_STEPS = 1_800;
/** Limit on the latencies of one step from which percentiles are taken. The latest ones count. */
const LATENCIES = 512;

const SERIES: readonly HistorySeries[] = [
  ...(['requests', 'failed', 'local', 'remote', 'computed', 'generated'] as const),
  ...(['ttft_p50', 'ttft_p95', 'queue_p50', 'itl_p50', 'itl_p95'] as const),
  ...(['running', 'waiting', 'serving', 'blocks', 'below', 'bytes'] as const),
  ...(['fetched_bytes', 'copied_bytes', 'evicted', 'damaged', 'audits_right', 'audits_wrong'] as const),
];

/** The fleet at the end of a step. */
export type HistoryLevels = Readonly<Record<'running' | 'waiting' | 'serving' | 'blocks' | 'below' | 'bytes', number>>;
/** The counts of a step. */
type Counts = Record<'requests' | 'failed' | 'local' | 'remote' | 'computed' | 'generated', number>;

/** The counts of workers in a step. */
type Activity = Record<
  'fetched_bytes' | 'copied_bytes' | 'evicted' | 'damaged' | 'audits_right' | 'audits_wrong',
  number
>;

export class History {
  private readonly at = new Float64Array(HISTORY_STEPS);
  private readonly values = new Map(SERIES.map((name) => [name, new Float64Array(HISTORY_STEPS)]));
  /** Steps so far. */
  private count = 0;
  private counts = noCounts();
  /** Null until a worker tells of itself. */
  private activity: Activity | null = null;
  private readonly firstTokens = new Latencies();
  private readonly queues = new Latencies();
  private readonly gaps = new Latencies();

  started(
    cached: { readonly local: number; readonly remote: number; readonly computed: number },
    queueMs: number,
  ): void {
    this.counts.local += cached.local;
    this.counts.remote += cached.remote;
    this.counts.computed += cached.computed;
    this.queues.add(queueMs);
  }

  first(latencyMs: number): void {
    this.firstTokens.add(latencyMs);
  }

  /** @param gapMs since the token before */
  next(gapMs: number): void {
    this.gaps.add(gapMs);
  }

  /** A worker told what it has done. */
  active({ fetchedBytes, copiedBytes, evicted, damaged, right, wrong }: ActivityNews): void {
    const known = this.activity ?? noActivity();
    this.activity = {
      fetched_bytes: known.fetched_bytes + fetchedBytes,
      copied_bytes: known.copied_bytes + copiedBytes,
      evicted: known.evicted + evicted,
      damaged: known.damaged + damaged,
      audits_right: known.audits_right + right,
      audits_wrong: known.audits_wrong + wrong,
    };
  }

  generated(tokens: number): void {
    this.counts.generated += tokens;
  }

  ended(outcome: 'done' | 'cancelled' | 'failed'): void {
    this.counts.requests += 1;
    if (outcome === 'failed') this.counts.failed += 1;
  }

  /** Ends a step. To be called every `HISTORY_STEP_MS`. */
  endStep(nowMs: number, levels: HistoryLevels): void {
    const index = this.count % HISTORY_STEPS;
    const before = this.count === 0 ? Number.NaN : this.at[(this.count - 1) % HISTORY_STEPS]!;
    const seconds = Number.isNaN(before) ? HISTORY_STEP_MS / 1_000 : Math.max(0.001, (nowMs - before) / 1_000);
    this.at[index] = nowMs;
    for (const [name, count] of Object.entries(this.counts)) this.set(name as HistorySeries, index, count / seconds);
    for (const name of Object.keys(noActivity()) as (keyof Activity)[])
      this.set(name, index, this.activity === null ? Number.NaN : this.activity[name] / seconds);
    for (const [name, level] of Object.entries(levels)) this.set(name as HistorySeries, index, level);
    this.set('ttft_p50', index, this.firstTokens.percentile(0.5));
    this.set('ttft_p95', index, this.firstTokens.percentile(0.95));
    this.set('queue_p50', index, this.queues.percentile(0.5));
    this.set('itl_p50', index, this.gaps.percentile(0.5));
    this.set('itl_p95', index, this.gaps.percentile(0.95));
    this.count++;
    this.counts = noCounts();
    this.activity = null;
    for (const latencies of [this.firstTokens, this.queues, this.gaps]) latencies.clear();
  }

  /** The steps after `sinceMs`, oldest first. */
  since(sinceMs: number): { readonly at: number[]; readonly series: Record<HistorySeries, (number | null)[]> } {
    const steps: number[] = [];
    for (let n = Math.max(0, this.count - HISTORY_STEPS); n < this.count; n++)
      if (this.at[n % HISTORY_STEPS]! > sinceMs) steps.push(n % HISTORY_STEPS);
    const series = Object.fromEntries(
      SERIES.map((name) => [name, steps.map((index) => shown(this.values.get(name)![index]!))]),
    ) as Record<HistorySeries, (number | null)[]>;
    return { at: steps.map((index) => this.at[index]!), series };
  }

  private set(name: HistorySeries, index: number, value: number): void {
    this.values.get(name)![index] = value;
  }
}

/** Three digits after the point are enough to plot. */
function shown(value: number): number | null {
  return Number.isNaN(value) ? null : Math.round(value * 1_000) / 1_000;
}

function noCounts(): Counts {
  return { requests: 0, failed: 0, local: 0, remote: 0, computed: 0, generated: 0 };
}

function noActivity(): Activity {
  return { fetched_bytes: 0, copied_bytes: 0, evicted: 0, damaged: 0, audits_right: 0, audits_wrong: 0 };
}

/** Latencies of one step. */
class Latencies {
  private readonly values = new Float64Array(LATENCIES);
  private added = 0;

  add(ms: number): void {
    this.values[this.added++ % LATENCIES] = ms;
  }

  /** NaN without latencies. */
  percentile(share: number): number {
    const sorted = this.values.slice(0, Math.min(this.added, LATENCIES)).sort();
    return sorted.length === 0 ? Number.NaN : sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  }

  clear(): void {
    this.added = 0;
  }
}
