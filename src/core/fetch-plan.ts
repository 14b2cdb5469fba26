import type { BlockKey, BlockMeta } from './block.js';
import type { BlockSource } from './placement.js';
import { ASSUMED_RATES, FETCH_LATENCY_MS } from './rates.js';

export interface FetchRequest {
  /** Blocks of a prompt that are not here, in order. */
  readonly wanted: readonly BlockMeta[];
  /** Who is said to have the beginning of the prompt, most promising first. */
  readonly hints: readonly BlockSource[];
  /** Homes of a segment, in order. Asked where no hint leads. */
  readonly homesOf: (segment: BlockKey) => readonly string[];
  /** False for this worker itself and for those that can't be asked. */
  readonly reachable: (worker: string) => boolean;
  /** Measured with that worker, or with all; null if there is no measurement. */
  readonly fetchBytesPerMs: (worker: string) => number | null;
  readonly computeMsPerToken: number | null;
  readonly blockTokens: number;
  readonly blockBytes: number;
}

/** One question to one peer. */
export interface FetchPart {
  readonly from: string;
  /** Whom to ask for what `from` does not have, in order. */
  readonly otherwise: readonly string[];
  readonly blocks: readonly BlockMeta[];
}

export interface FetchPlan {
  /** In order of the prompt, without a gap in what was wanted. May be asked for at once. */
  readonly parts: readonly FetchPart[];
  /** What computing all these blocks would take. */
  readonly computeMs: number;
}

/** Share of the time that computing would take which may be lost by waiting for a peer that then does not deliver. */
const PATIENCE_SHARE = 0.1;
/** So much waiting nobody notices, and a peer whose processor is busy elsewhere is not given up for it. */
const PATIENCE_FLOOR_MS = 20;

/**
 * Decides what to fetch from whom: every block up to the first that nobody can give in less time than computing it would take.
 * A segment comes from one peer; different segments come from different peers where several are said to have them.
 */
export function planFetch(request: FetchRequest): FetchPlan {
  const computeMsPerBlock = request.blockTokens * (request.computeMsPerToken ?? ASSUMED_RATES.computeMsPerToken);
  const blockMs = (worker: string) =>
    request.blockBytes / (request.fetchBytesPerMs(worker) ?? ASSUMED_RATES.fetchBytesPerMs);
  const busyMs = new Map<string, number>();
  const parts: { from: string; otherwise: readonly string[]; blocks: BlockMeta[] }[] = [];

  for (const block of request.wanted) {
    const usable = (worker: string) => request.reachable(worker) && blockMs(worker) < computeMsPerBlock;
    const said = request.hints.filter(({ blocks }) => blocks > block.index).map(({ worker }) => worker);
    const hinted = [...new Set(said)].filter(usable);
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

/** How long to wait for a plan before asking `worthWaiting`. */
export function patienceMs(plan: FetchPlan): number {
  return Math.max(PATIENCE_FLOOR_MS, PATIENCE_SHARE * plan.computeMs);
}

/**
 * Whether to go on waiting for what was asked for: at the speed seen so far, does the rest come sooner than it is computed? Before
 * `patienceMs` is over the answer is always yes.
 */
export function worthWaiting(
  plan: FetchPlan,
  progress: { elapsedMs: number; arrivedBytes: number; wantedBytes: number },
): boolean {
  const { elapsedMs, arrivedBytes, wantedBytes } = progress;
  if (elapsedMs <= patienceMs(plan) || arrivedBytes >= wantedBytes) return true;
  // The rest of the bytes at the bytes' speed, against the rest of the computing.
  return elapsedMs * wantedBytes < plan.computeMs * arrivedBytes;
}

function sameMembers(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((worker, i) => worker === b[i]);
}
