import type { BlockKey, BlockMeta } from './block.js';
import type { BlockSource } from './placement.js';
import { ASSUMED_RATES, FETCH_LATENCY_MS } from './rates.js';

/** Plans which blocks to fetch from which peer, and decides when waiting for them stops being worth it. */

/** When blocks of peers are fetched: only if computing them takes longer, or whenever a peer has them, so that a check does not depend on speed. */
export type FetchPolicy = 'cheapest' | 'always';

export interface FetchRequest {
  readonly policy: FetchPolicy;
  /** Blocks of a prompt that this worker does not have, in order. */
  readonly wanted: readonly BlockMeta[];
  /** Workers said to have the first blocks of the prompt, most promising first. */
  readonly hints: readonly BlockSource[];
  /** Homes of a segment, in order. They are asked for blocks that no hint covers. */
  readonly homesOf: (segment: BlockKey) => readonly string[];
  /** False for this worker itself and for workers that cannot be asked. */
  readonly reachable: (worker: string) => boolean;
  /** Measured with that worker, or else over all workers; null if there is no measurement. */
  readonly fetchBytesPerMs: (worker: string) => number | null;
  readonly computeMsPerToken: number | null;
  readonly blockTokens: number;
  readonly blockBytes: number;
}

/** One request to one peer. */
export interface FetchPart {
  readonly from: string;
  /** Workers to ask for blocks that `from` turns out not to have, in order. */
  readonly otherwise: readonly string[];
  readonly blocks: readonly BlockMeta[];
}

export interface FetchPlan {
  /** In order of the prompt, covering the wanted blocks from the first without a gap. Can be requested concurrently. */
  readonly parts: readonly FetchPart[];
  /** Time to compute all blocks of the plan instead. */
  readonly computeMs: number;
}

/** The time to waste on a peer that does not deliver, as a share of the time to compute its blocks. */
const PATIENCE_SHARE = 0.1;
/** A lower bound on that time: too short to notice, and long enough for a peer whose CPU is busy. */
const PATIENCE_FLOOR_MS = 20;
/** The time to compute a token that the policy `always` assumes. It bounds the wait for a peer that does not deliver. */
const ALWAYS_MS_PER_TOKEN = 1_000;

/**
 * Plans the fetch of all blocks up to the first one that no peer can deliver faster than this worker computes it.
 *
 * One segment comes from one peer; several segments are spread over the peers said to have them.
 */
export function planFetch(request: FetchRequest): FetchPlan {
  const measured = request.computeMsPerToken ?? ASSUMED_RATES.computeMsPerToken;
  const computeMsPerBlock = request.blockTokens * (request.policy === 'always' ? ALWAYS_MS_PER_TOKEN : measured);
  const blockMs = (worker: string) =>
    request.blockBytes / (request.fetchBytesPerMs(worker) ?? ASSUMED_RATES.fetchBytesPerMs);
  const busyMs = new Map<string, number>();
  const parts: { from: string; otherwise: readonly string[]; blocks: BlockMeta[] }[] = [];

  for (const block of request.wanted) {
    const usable = (worker: string) => request.reachable(worker) && blockMs(worker) < computeMsPerBlock;
    const claimed = request.hints.filter(({ blocks }) => blocks > block.index).map(({ worker }) => worker);
    const hinted = [...new Set(claimed)].filter(usable);
    const homes = request.homesOf(block.segment).filter((worker) => usable(worker) && !hinted.includes(worker));

    const last = parts.at(-1);
    const sameSegment = last?.blocks.at(-1)?.segment === block.segment;
    const ahead = sameSegment ? 1 : request.wanted.filter(({ segment }) => segment === block.segment).length;
    const finishMs = (worker: string) => (busyMs.get(worker) ?? 0) + ahead * blockMs(worker);
    const soonest = hinted.sort((a, b) => finishMs(a) - finishMs(b))[0];
    const from = sameSegment && hinted.includes(last.from) ? last.from : (soonest ?? homes[0]);
    if (from === undefined) break;

    busyMs.set(from, (busyMs.get(from) ?? 0) + blockMs(from));
    const otherwise = [...hinted, ...homes].filter((worker) => worker !== from);
    if (last?.from === from && sameMembers(last.otherwise, otherwise)) last.blocks.push(block);
    else parts.push({ from, otherwise, blocks: [block] });
  }
  const computeMs = computeMsPerBlock * parts.reduce((blocks, part) => blocks + part.blocks.length, 0);
  return computeMs > FETCH_LATENCY_MS ? { parts, computeMs } : { parts: [], computeMs: 0 };
}

/** How long to wait for the blocks of a plan before consulting `worthWaiting`. */
export function patienceMs(plan: FetchPlan): number {
  return Math.max(PATIENCE_FLOOR_MS, PATIENCE_SHARE * plan.computeMs);
}

/** Whether, at the transfer speed so far, the remaining blocks arrive faster than they are computed. True until `patienceMs` has passed. */
export function worthWaiting(
  plan: FetchPlan,
  progress: { elapsedMs: number; arrivedBytes: number; wantedBytes: number },
): boolean {
  const { elapsedMs, arrivedBytes, wantedBytes } = progress;
  if (elapsedMs <= patienceMs(plan) || arrivedBytes >= wantedBytes) return true;
  // restBytes / (arrivedBytes / elapsedMs) < restBytes / wantedBytes * computeMs, without divisions.
  return elapsedMs * wantedBytes < plan.computeMs * arrivedBytes;
}

function sameMembers(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((worker, i) => worker === b[i]);
}
