import type { Coverage } from './holdings.js';
import { type Load, NO_LOAD } from './load.js';
import type { Member } from './member.js';
import { ASSUMED_RATES, computeRates, FETCH_LATENCY_MS, typical } from './rates.js';
import { drawnWeight } from './tie-break.js';

/** Ranks the workers that could take a request, by the estimated time it would take there. */

export interface PlacementRequest {
  readonly promptTokens: number;
  /** Tokens of prompt and answer together: a worker with a smaller context cannot take the request. */
  readonly contextTokens: number;
  readonly blockTokens: number;
  /** The request's adapter, and the size of its file. Absent or null for none. */
  readonly adapter?: { readonly fingerprint: string; readonly bytes: number } | null;
  /** Where the full blocks of the prompt are, among workers that can send them. */
  readonly coverage: Coverage;
  readonly members: readonly Member[];
  /** Workers in ring order from the segment of the first block that no worker holds or computes (`ringBlock`), its homes first. */
  readonly ringOrder: readonly string[];
  /** All load, by worker. A worker that is missing has none. */
  readonly loads: ReadonlyMap<string, Load>;
  /** Workers that must not be chosen, for example because they failed this request. */
  readonly excluded: ReadonlySet<string>;
  /** A random whole number below 2^32: breaks the ties of this decision. */
  readonly draw: number;
}

/** A worker that could take the request, with the estimated cost. */
export interface Candidate {
  readonly worker: string;
  readonly incarnation: string;
  readonly costMs: number;
  /** The part of it for loading the request's adapter; 0 where that is loaded. */
  readonly adapterMs: number;
  /** Blocks of the prompt that the worker holds, or will hold once requests placed earlier have computed them. */
  readonly localBlocks: number;
  /** Blocks that are worth fetching from other workers. */
  readonly remoteBlocks: number;
  /** Tokens of the prompt left to compute. */
  readonly computeTokens: number;
  /** Workers that have the blocks, most promising first. */
  readonly sources: readonly BlockSource[];
  /** A worker that is still computing some of the remote blocks; send the request once that has ended. Null if there is none. */
  readonly awaits: string | null;
}

/** A worker said to hold blocks `[0, blocks)` of a prompt. */
export interface BlockSource {
  readonly worker: string;
  readonly blocks: number;
}

/** Decode steps by which each running or waiting request delays a new one. */
const STEPS_PER_RUNNING = 4;
const STEPS_PER_WAITING = 16;
/** Assumed rates of loading an adapter: opening a file, and reading it from a disk or over a network. */
const ADAPTER_LATENCY_MS = 20;
const ADAPTER_BYTES_PER_MS = 200_000;
/** Limit on the sources named in a request. */
const MAX_SOURCES = 16;
/**
 * Share of a prompt that a worker must hold for the prompt to follow it there. Many prompts begin with a short common head: if all of them followed
 * it, its holders would evict blocks computed a moment ago while other workers have room. A shorter head is fetched.
 */
const FOLLOWED_SHARE = 0.2;

/** Index of the block whose segment places a prompt that no worker holds enough of: the first block that no worker has, else the last block. */
export function ringBlock({ expectedBlocks }: Coverage, blocks: number): number {
  return Math.max(0, Math.min(expectedBlocks, blocks - 1));
}

/**
 * Ranks the workers that could take a request, best first; empty if there are none.
 *
 * The order is by cost. Costs that hardly differ are a tie, broken by the blocks a worker already holds, if they are a fifth of the prompt or more.
 * Among workers that hold less, those with the request's adapter come first, then ring order decides, so that new blocks are computed on one of their homes and spill goes to the next replica; among
 * the others the draw, so that no worker is left out. Workers whose queue is full come later, suspects last.
 */
export function place(request: PlacementRequest): Candidate[] {
  const ringPlace = new Map(request.ringOrder.map((worker, place) => [worker, place]));
  const costs = new CostModel(request, ringPlace);
  const priced = request.members
    .filter((member) => mayTake(request, member))
    .map((member) => ({ candidate: costs.candidate(member), last: lastness(request, member), tie: 0 }))
    .sort((a, b) => a.last - b.last || a.candidate.costMs - b.candidate.costMs);

  // A candidate ties with the cheapest of its group if the two costs hardly differ; otherwise it starts the next group.
  let tie = 0;
  let cheapest = priced[0];
  for (const one of priced) {
    if (cheapest && (one.last !== cheapest.last || !hardlyDiffer(cheapest.candidate.costMs, one.candidate.costMs))) {
      cheapest = one;
      tie++;
    }
    one.tie = tie;
  }
  const followedBlocks = Math.max(1, FOLLOWED_SHARE * costs.usableBlocks);
  const rank = ({ tie, candidate: { worker, localBlocks, adapterMs } }: (typeof priced)[number]) => {
    const isFollowed = localBlocks >= followedBlocks;
    const place = isFollowed ? 0 : (ringPlace.get(worker) ?? request.ringOrder.length);
    return [tie, isFollowed ? -localBlocks : 0, adapterMs, place, -drawnWeight(request.draw, worker)];
  };
  return priced
    .map((one) => ({ candidate: one.candidate, rank: rank(one) }))
    .sort((a, b) => compareRanks(a.rank, b.rank) || compareIds(a.candidate.worker, b.candidate.worker))
    .map(({ candidate }) => candidate);
}

/** Whether the worker can take the request, now or when its queue is shorter. */
function mayTake({ contextTokens, excluded }: PlacementRequest, { id, state, capacity }: Member): boolean {
  const serves = state === 'serving' || state === 'suspect';
  return serves && !excluded.has(id) && contextTokens <= capacity.contextTokens;
}

/** Workers with a higher number are asked later, regardless of cost. */
function lastness({ loads }: PlacementRequest, { id, state, capacity }: Member): number {
  if (state === 'suspect') return 2;
  return (loads.get(id) ?? NO_LOAD).requests < capacity.sequences + capacity.waiting ? 0 : 1;
}

/** Measured rates are noisy: a difference below a fifth, or below two milliseconds, means nothing. */
function hardlyDiffer(costMs: number, higherCostMs: number): boolean {
  return higherCostMs <= Math.max(1.2 * costMs, costMs + 2);
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  const differing = a.findIndex((value, i) => value !== b[i]);
  return differing === -1 ? 0 : a[differing]! - b[differing]!;
}

function compareIds(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Estimates the costs of one request on each worker. */
class CostModel {
  private readonly request: PlacementRequest;
  /** Milliseconds per token, by worker. */
  private readonly compute: ReadonlyMap<string, number>;
  /** Of workers without a measurement. */
  private readonly rates: { decodeMsPerStep: number; fetchBytesPerMs: number };
  /** Blocks that may come from a cache: at least one token must be computed, for its logits. */
  readonly usableBlocks: number;
  private readonly expectedBlocks: number;
  private readonly heldBlocks: number;
  private readonly sources: readonly BlockSource[];
  private readonly promiser: Member | undefined;

  constructor(request: PlacementRequest, ringPlace: ReadonlyMap<string, number>) {
    const { coverage, members } = request;
    this.request = request;
    const forgotten = { computeMsPerToken: null };
    this.compute = computeRates(members.map((m) => (m.state === 'dead' ? { ...m, rates: forgotten } : m)));
    this.rates = {
      decodeMsPerStep: typical(
        members.map((m) => m.rates.decodeMsPerStep),
        ASSUMED_RATES.decodeMsPerStep,
      ),
      fetchBytesPerMs: typical(
        members.map((m) => m.rates.fetchBytesPerMs),
        ASSUMED_RATES.fetchBytesPerMs,
      ),
    };
    this.usableBlocks = Math.max(0, Math.floor((request.promptTokens - 1) / request.blockTokens));
    this.expectedBlocks = Math.min(coverage.expectedBlocks, this.usableBlocks);
    this.heldBlocks = Math.min(coverage.heldBlocks, this.usableBlocks);
    const byRun = (runs: readonly BlockSource[]) =>
      runs
        .filter(({ blocks }) => blocks > 0)
        .sort(
          (a, b) =>
            compareRanks(
              [-a.blocks, ringPlace.get(a.worker) ?? Infinity],
              [-b.blocks, ringPlace.get(b.worker) ?? Infinity],
            ) || compareIds(a.worker, b.worker),
        );
    this.sources = byRun([...coverage.workers].map(([worker, { heldRun }]) => ({ worker, blocks: heldRun })));
    const [promise] = byRun(
      [...coverage.workers].map(([worker, { expectedRun }]) => ({ worker, blocks: expectedRun })),
    );
    this.promiser =
      this.expectedBlocks > this.heldBlocks ? members.find((member) => member.id === promise?.worker) : undefined;
  }

  candidate(member: Member): Candidate {
    const { promptTokens, blockTokens } = this.request;
    const computeMsPerToken = this.compute.get(member.id)!;
    const fetchMsPerBlock = member.blockBytes / (member.rates.fetchBytesPerMs ?? this.rates.fetchBytesPerMs);
    const covered = this.request.coverage.workers.get(member.id);
    const run = Math.min(covered?.expectedRun ?? 0, this.usableBlocks);

    const worthFetching = fetchMsPerBlock < computeMsPerToken * blockTokens;
    const awaits =
      worthFetching && run < this.expectedBlocks && this.promiser?.id !== member.id ? this.promiser : undefined;
    const others = awaits === undefined ? this.heldBlocks : this.expectedBlocks;
    const reach = worthFetching ? Math.max(run, others) : run;
    const localBlocks = Math.max(run, Math.min(covered?.heldBlocks ?? 0, reach));
    const remoteBlocks = reach - localBlocks;
    const computeTokens = promptTokens - reach * blockTokens;

    const fetchMs = remoteBlocks === 0 ? 0 : FETCH_LATENCY_MS + remoteBlocks * fetchMsPerBlock;
    const waitMs = awaits === undefined ? 0 : this.computingMs(awaits);
    const adapterMs = this.adapterMs(member);
    const costMs =
      adapterMs + waitMs + fetchMs + computeTokens * computeMsPerToken + this.queueMs(member, computeMsPerToken);
    const sources = this.sources.filter(({ worker }) => worker !== member.id).slice(0, MAX_SOURCES);
    return {
      worker: member.id,
      incarnation: member.incarnation,
      costMs,
      adapterMs,
      localBlocks,
      remoteBlocks,
      computeTokens,
      sources:
        awaits === undefined
          ? sources
          : [
              { worker: awaits.id, blocks: this.expectedBlocks },
              ...sources.filter(({ worker }) => worker !== awaits.id),
            ].slice(0, MAX_SOURCES),
      awaits: awaits?.id ?? null,
    };
  }

  /** Time to load the request's adapter, where it is not loaded. */
  private adapterMs({ adapters = [] }: Member): number {
    const { adapter = null } = this.request;
    if (adapter === null || adapters.includes(adapter.fingerprint)) return 0;
    return ADAPTER_LATENCY_MS + adapter.bytes / ADAPTER_BYTES_PER_MS;
  }

  /** Time until a worker has computed the expected blocks. */
  private computingMs(member: Member): number {
    const tokens = (this.expectedBlocks - this.heldBlocks) * this.request.blockTokens;
    return tokens * this.compute.get(member.id)!;
  }

  /** Delay caused by other requests. */
  private queueMs({ id, capacity, rates }: Member, computeMsPerToken: number): number {
    const { requests, computeTokens } = this.request.loads.get(id) ?? NO_LOAD;
    const running = Math.min(requests, capacity.sequences);
    const steps = STEPS_PER_RUNNING * running + STEPS_PER_WAITING * (requests - running);
    return steps * (rates.decodeMsPerStep ?? this.rates.decodeMsPerStep) + computeTokens * computeMsPerToken;
  }
}
