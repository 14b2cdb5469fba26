import type { Durability } from '../src/core/durability.js';
import { OrtRuntime } from '../src/ort/runtime.js';
import { SeededRandom } from '../src/random.js';
import { ASSUMED_COSTS } from './replay/cost-model.js';
import { EventQueue } from './replay/event-queue.js';
import { offlineOptimum, pooledLru, prefixHash, roundRobin, unlimited } from './replay/reference-caches.js';
import { type Answered, ReplayedFleet } from './replay/replayed-fleet.js';
import { openTrace, TRACE_BLOCK_TOKENS, type TracedRequest } from './replay/trace.js';
import { machineLine, type Report, type ReportRatio, type ReportRow, reportRatio, reportRow } from './report.js';

/** Replays a trace in virtual time through the production's index, placement, caches, eviction and replication. */

export interface ReplayOptions {
  /** A file, or the name of a drawn trace. */
  readonly trace: string;
  /** How many requests to replay; null for all. */
  readonly requests: number | null;
  readonly workers: number;
  /** Memory of all workers together, in percent of the distinct blocks of the trace. */
  readonly memoryPercent: number;
  readonly replicas: number;
  readonly durability: Durability;
  /** Share of the time, in percent, that workers without a cache would compute: stretches the times of the trace. */
  readonly loadPercent: number;
  /** Workers that are killed, one after another. */
  readonly kills: number;
  readonly progress: (line: string) => void;
}

/** Goals of a fleet whose memory is short, and of one with ample memory. */
const OVER_POOLED = 1;
const OVER_ROUND_ROBIN = 2;
const OVER_UNLIMITED = 0.97;
const PROGRESS_REQUESTS = 1_000;

/** @throws WrongUsage if the trace cannot be read */
export async function replay(options: ReplayOptions): Promise<Report> {
  const { workers, memoryPercent, progress } = options;
  const trace = openTrace(options.trace, options.requests);
  const distinct = new Set(trace.flatMap(({ ids }) => ids)).size;
  const capacityBlocks = Math.max(1, Math.floor((distinct * memoryPercent) / 100 / workers));
  progress(`${trace.length} requests with ${distinct} distinct blocks; ${workers} workers with ${capacityBlocks} each`);
  const fleet = await replayed(trace, capacityBlocks, options);
  const references = {
    unlimited: unlimited(trace),
    'one LRU with all memory': pooledLru(trace, capacityBlocks * workers),
    'round-robin onto private LRUs': roundRobin(trace, workers, capacityBlocks),
    'prefix hash onto private LRUs': prefixHash(trace, workers, capacityBlocks),
    'offline optimum': offlineOptimum(trace, capacityBlocks * workers),
  };
  const percent = (name: string, share: number) => reportRow(name, '% of blocks', [100 * share]);
  const hits = hitShare(fleet.answered, ({ hitBlocks }) => hitBlocks);
  return {
    name: 'replay',
    machine: machineLine(),
    rows: [
      percent('hits', hits),
      percent(
        'hits from peers',
        hitShare(fleet.answered, ({ fetchedBlocks }) => fetchedBlocks),
      ),
      ...Object.entries(references).map(([name, share]) => percent(`hits of ${name}`, share)),
      ...fleetRows(fleet, workers),
    ],
    ratios: ratios(hits, references, memoryPercent),
  };
}

async function replayed(
  trace: readonly TracedRequest[],
  capacityBlocks: number,
  { workers, replicas, durability, loadPercent, kills, progress }: ReplayOptions,
): Promise<ReplayedFleet> {
  const runtime = OrtRuntime.open();
  const clock = new EventQueue();
  try {
    const cost = ASSUMED_COSTS;
    const fleet = new ReplayedFleet({ workers, capacityBlocks, replicas, durability, cost, runtime, clock });
    const blocks = trace.reduce((sum, { ids }) => sum + ids.length, 0);
    const busyMs = (blocks * TRACE_BLOCK_TOKENS * cost.computeMsPerToken) / workers;
    const spanMs = Math.max(1, trace.at(-1)!.atMs - trace[0]!.atMs);
    const stretch = busyMs / (loadPercent / 100) / spanMs;
    for (const [i, request] of trace.entries()) {
      clock.at((request.atMs - trace[0]!.atMs) * stretch, () => {
        if (i % PROGRESS_REQUESTS === 0) progress(`request ${i} of ${trace.length}`);
        fleet.ask(request);
      });
    }
    const random = new SeededRandom(2);
    for (let i = 1; i <= kills; i++)
      clock.at((spanMs * stretch * i) / (kills + 1), () => fleet.kill(`worker-${1 + random.below(workers)}`));
    await clock.run();
    return fleet;
  } finally {
    runtime.release();
  }
}

function hitShare(answered: readonly Answered[], of: (one: Answered) => number): number {
  const blocks = answered.reduce((sum, one) => sum + one.blocks, 0);
  return answered.reduce((sum, one) => sum + of(one), 0) / blocks;
}

function fleetRows(fleet: ReplayedFleet, workers: number): ReportRow[] {
  const { answered } = fleet;
  const times = answered.map(({ firstTokenMs }) => firstTokenMs).sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(share * times.length))]!;
  const byWorker = new Map<string, number>();
  for (const { worker, blocks, hitBlocks } of answered)
    byWorker.set(worker, (byWorker.get(worker) ?? 0) + blocks - hitBlocks);
  const computed = [...byWorker.values()];
  const mean = computed.reduce((sum, one) => sum + one, 0) / workers;
  const { blocks, copies } = fleet.copies;
  return [
    reportRow('computed tokens', 'tokens', [mean * workers * TRACE_BLOCK_TOKENS]),
    reportRow('busiest worker, in computed tokens over the mean', 'x', [Math.max(...computed) / mean]),
    reportRow('copies of a block at the end', 'x', [copies / Math.max(1, blocks)]),
    ...[0.5, 0.9, 0.99].map((share) => reportRow(`time to first token, p${100 * share}`, 'virtual ms', [at(share)])),
  ];
}

/** Memory in percent of all blocks from which a fleet should have nearly all hits, with R copies of most blocks. */
const AMPLE_PERCENT = 300;

function ratios(hits: number, references: Record<string, number>, memoryPercent: number): ReportRatio[] {
  const isAmple = memoryPercent >= AMPLE_PERCENT;
  const over = (name: string, least: number | null) =>
    reportRatio(
      `hits over ${name}`,
      [references[name] === 0 ? Number.POSITIVE_INFINITY : hits / references[name]!],
      least === null ? null : { kind: 'at least', value: least },
    );
  return [
    over('one LRU with all memory', isAmple ? null : OVER_POOLED),
    over('round-robin onto private LRUs', isAmple ? null : OVER_ROUND_ROBIN),
    over('prefix hash onto private LRUs', null),
    over('offline optimum', null),
    over('unlimited', isAmple ? OVER_UNLIMITED : null),
  ];
}
