import type { Coverage } from './holdings.js';
import type { Member } from './member.js';
import { ASSUMED_RATES, FETCH_LATENCY_MS, typical } from './rates.js';

export interface PlacementRequest {
  readonly promptTokens: number;
  readonly blockTokens: number;
  /** Where the full blocks of the prompt are, among workers that can give them. */
  readonly coverage: Coverage;
  readonly members: readonly Member[];
  /** Workers clockwise from the prompt's first segment, its homes first. */
  readonly ringOrder: readonly string[];
  /** What this coordinator has placed itself and not yet seen answered, by worker. */
  readonly inFlight: ReadonlyMap<string, PlacedLoad>;
  /** Workers that are not to be taken, say because they failed this request. */
  readonly excluded: ReadonlySet<string>;
}

export interface PlacedLoad {
  /** Requests placed there and not over. */
  readonly requests: number;
  /** Tokens that those of them will compute whose prefill is not known to be over. */
  readonly computeTokens: number;
}

/** A worker that could take the request, and what that would take. */
export interface Candidate {
  readonly worker: string;
  readonly incarnation: string;
  readonly costMs: number;
  /** Blocks of the prompt that are there or come to be there by requests placed before. */
  readonly localBlocks: number;
  /** Blocks that it is worth fetching from others. */
  readonly remoteBlocks: number;
  /** Tokens of the prompt left to compute. */
  readonly computeTokens: number;
  /** Who has the blocks, most promising first. */
  readonly sources: readonly BlockSource[];
  /** A worker that is computing some of the remote blocks at the moment: the request should be sent once it has, or failed to. */
  readonly awaits: string | null;
}

/** Blocks `[0, blocks)` of a prompt are said to be at a worker. */
export interface BlockSource {
  readonly worker: string;
  readonly blocks: number;
}

/** How much longer a request takes, in decode steps, for each one that runs beside it, or waits before it. */
const STEPS_PER_RUNNING = 4;
const STEPS_PER_WAITING = 16;
/** Sources named to a worker at most. */
const SOURCES = 16;

/**
 * Ranks the workers that could take a request, the best first: by the time it would take there, as far as that differs, then by what
 * is there already, then by the ring, so that copies land at their homes and spill goes to the next replica. Suspects come after
 * all others. Empty if there is no worker to take it.
 */
export function place(request: PlacementRequest): Candidate[] {
  const ringPlace = new Map(request.ringOrder.map((worker, place) => [worker, place]));
  const prices = new Prices(request, ringPlace);
  const priced = request.members
    .filter((member) => (member.state === 'serving' || member.state === 'suspect') && !request.excluded.has(member.id))
    .map((member) => ({ candidate: prices.candidate(member), suspect: member.state === 'suspect' ? 1 : 0, tie: 0 }))
    .sort((a, b) => a.suspect - b.suspect || a.candidate.costMs - b.candidate.costMs);

  // Costs that hardly differ from the cheapest are a tie with it, and the next one is the cheapest of the next tie.
  let tie = 0;
  let cheapest = priced[0];
  for (const one of priced) {
    if (
      cheapest &&
      (one.suspect !== cheapest.suspect || !hardlyDiffer(cheapest.candidate.costMs, one.candidate.costMs))
    ) {
      cheapest = one;
      tie++;
    }
    one.tie = tie;
  }
  const rank = ({ tie, candidate }: (typeof priced)[number]) => [
    tie,
    -candidate.localBlocks,
    ringPlace.get(candidate.worker) ?? Infinity,
  ];
  priced.sort((a, b) => compareRanks(rank(a), rank(b)) || compareIds(a.candidate.worker, b.candidate.worker));
  return priced.map(({ candidate }) => candidate);
}

/** Rates are measured, and noisy: a fifth, or two milliseconds, is as good as nothing. */
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

/** Reckons costs for one request. */
class Prices {
  private readonly request: PlacementRequest;
  private readonly rates: { computeMsPerToken: number; decodeMsPerStep: number; fetchBytesPerMs: number };
  /** Blocks that may be taken over: one token at least is computed, for its logits. */
  private readonly usableBlocks: number;
  private readonly expectedBlocks: number;
  private readonly heldBlocks: number;
  private readonly sources: readonly BlockSource[];
  private readonly promiser: Member | undefined;

  constructor(request: PlacementRequest, ringPlace: ReadonlyMap<string, number>) {
    const { coverage, members } = request;
    this.request = request;
    this.rates = {
      computeMsPerToken: typical(
        members.map((m) => m.rates.computeMsPerToken),
        ASSUMED_RATES.computeMsPerToken,
      ),
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
    const computeMsPerToken = member.rates.computeMsPerToken ?? this.rates.computeMsPerToken;
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
    const costMs = waitMs + fetchMs + computeTokens * computeMsPerToken + this.queueMs(member, computeMsPerToken);
    const sources = this.sources.filter(({ worker }) => worker !== member.id).slice(0, SOURCES);
    return {
      worker: member.id,
      incarnation: member.incarnation,
      costMs,
      localBlocks,
      remoteBlocks,
      computeTokens,
      sources:
        awaits === undefined
          ? sources
          : [
              { worker: awaits.id, blocks: this.expectedBlocks },
              ...sources.filter(({ worker }) => worker !== awaits.id),
            ].slice(0, SOURCES),
      awaits: awaits?.id ?? null,
    };
  }

  /** Until a worker has computed what it is expected to. */
  private computingMs(member: Member): number {
    const tokens = (this.expectedBlocks - this.heldBlocks) * this.request.blockTokens;
    return tokens * (member.rates.computeMsPerToken ?? this.rates.computeMsPerToken);
  }

  /** How much longer the request takes because of others. A worker's announcement is late, so what we placed there ourselves counts too. */
  private queueMs({ id, running, waiting, rates }: Member, computeMsPerToken: number): number {
    const ours = this.request.inFlight.get(id) ?? { requests: 0, computeTokens: 0 };
    const unseen = Math.max(0, ours.requests - running - waiting);
    const steps = STEPS_PER_RUNNING * (running + unseen) + STEPS_PER_WAITING * waiting;
    return steps * (rates.decodeMsPerStep ?? this.rates.decodeMsPerStep) + ours.computeTokens * computeMsPerToken;
  }
}
