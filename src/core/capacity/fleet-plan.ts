import { GIB, HOURS_PER_MONTH, type Machinery, type Prices } from './prices.js';
import type { Workload } from './workload.js';

/** Recommends workers, budgets and replicas for a workload. */

/** A fleet that carries the workload. */
export interface FleetPlan {
  readonly workers: number;
  readonly cacheBytes: number;
  readonly replicas: number;
  readonly hits: number;
  /** Share of the workers' time that the busiest minute takes. */
  readonly busy: number;
  /** A month, in the currency of the prices. */
  readonly cost: number;
  /** One sentence for each decision. */
  readonly why: readonly string[];
}

export interface PlanLimits {
  readonly mostWorkers: number;
  /** Memory that a worker can spare for blocks. */
  readonly mostCacheBytes: number;
  /** Share of the workers' time that the busiest minute may take. */
  readonly busy: number;
}

/** Sizes of memory that are tried, each twice the one before it. */
const STEPS = 12;
/** A larger memory that gives less than this share of the prompt tokens more is not worth its price where memory costs nothing either. */
const LEAST_GAIN = 0.005;

/** The cheapest fleet that carries the busiest minute, with the smallest memory among equals; null if `limits` allow none. */
export function planFleet(
  workload: Workload,
  machinery: Omit<Machinery, 'workers' | 'cacheBytes'>,
  prices: Prices,
  limits: PlanLimits,
): FleetPlan | null {
  let best: FleetPlan | null = null;
  for (let step = STEPS; step >= 0; step--) {
    const candidate = fleetWith(limits.mostCacheBytes / 2 ** step, workload, machinery, prices, limits);
    if (candidate !== null && (best === null || isBetter(candidate, best))) best = candidate;
  }
  return best;
}

function isBetter(candidate: FleetPlan, best: FleetPlan): boolean {
  if (candidate.cost !== best.cost) return candidate.cost < best.cost;
  return candidate.hits > best.hits + LEAST_GAIN;
}

/** The fewest workers with so much memory that carry the busiest minute. */
function fleetWith(
  cacheBytes: number,
  workload: Workload,
  machinery: Omit<Machinery, 'workers' | 'cacheBytes'>,
  prices: Prices,
  limits: PlanLimits,
): FleetPlan | null {
  const blocksEach = Math.floor(cacheBytes / (machinery.kvBytesPerToken * workload.blockTokens));
  for (let workers = 1; workers <= limits.mostWorkers; workers++) {
    const hits = workload.shared(workers * blocksEach);
    const load = loadOf(workload, hits, machinery);
    if (load > workers * limits.busy) continue;
    const cost = workers * (prices.gpuHour * HOURS_PER_MONTH + (cacheBytes / GIB) * prices.gibMonth);
    const replicas = workers === 1 ? 1 : 2;
    const plan = { workers, cacheBytes, replicas, hits, busy: load / workers, cost };
    return { ...plan, why: reasons(plan, workload, machinery, limits) };
  }
  return null;
}

/** Workers that the busiest minute keeps busy, at these hits. */
function loadOf(
  workload: Workload,
  hits: number,
  { prefillTokensPerS, decodeTokensPerS }: Pick<Machinery, 'prefillTokensPerS' | 'decodeTokensPerS'>,
): number {
  const prefill = (workload.peakPromptTokensPerS * (1 - hits)) / prefillTokensPerS;
  return prefill + workload.peakOutputTokensPerS / decodeTokensPerS;
}

function reasons(
  { workers, replicas, hits }: Omit<FleetPlan, 'why'>,
  workload: Workload,
  machinery: Omit<Machinery, 'workers' | 'cacheBytes'>,
  limits: PlanLimits,
): string[] {
  const without = Math.ceil(loadOf(workload, 0, machinery) / limits.busy);
  const most = workload.shared(Number.POSITIVE_INFINITY);
  return [
    `workers: the busiest minute keeps ${percent(limits.busy)} of them busy at most; without a cache it would take ${Math.max(1, without)}`,
    `memory: it gives ${percent(hits)} of hits; without a limit there would be ${percent(most)}`,
    replicas === 1
      ? 'replicas: a fleet of one worker has no place for a copy'
      : `replicas: a second copy takes only free memory, and keeps the loss of one of ${workers} workers from costing its blocks`,
  ];
}

function percent(share: number): string {
  return `${Number((100 * share).toFixed(1))} %`;
}
