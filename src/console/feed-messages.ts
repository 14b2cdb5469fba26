/** The messages that a coordinator sends to its console: the types that both sides share. Times are in milliseconds of the coordinator's clock. */

/** One event of `GET /v1/fleet/events`. `hello` and a `fleet` with all workers come first. */
export type FeedMessage =
  | HelloMessage
  | FleetMessage
  | SegmentsMessage
  | FlowsMessage
  | StepsMessage
  | HappenedMessage
  | BeatMessage;

export interface HelloMessage {
  readonly type: 'hello';
  readonly at: number;
  readonly version: string;
  readonly model: string;
  /** `operator` also for everyone where no key is needed. */
  readonly role: 'user' | 'operator';
  /** Whether a request may name its worker. */
  readonly routing: boolean;
  /** Whether workers may be killed from the console. */
  readonly chaos: boolean;
  /** Recent events, oldest first. */
  readonly happened: readonly Happening[];
}

/** The state of the fleet: everything at first, then what has changed. */
export interface FleetMessage {
  readonly type: 'fleet';
  readonly at: number;
  readonly whole: boolean;
  readonly coordinators: number;
  readonly replicas: number;
  readonly nats: boolean;
  readonly copies: CopyCounts;
  readonly workers: readonly FeedWorker[];
  /** Ids of workers that are forgotten. */
  readonly gone: readonly string[];
}

/** Distinct blocks by their number of copies, in the memory of workers that live. */
export interface CopyCounts {
  readonly blocks: number;
  /** The blocks among them with fewer copies than the fleet keeps while it has room. */
  readonly below: number;
}

export interface FeedWorker {
  readonly id: string;
  readonly state: 'starting' | 'serving' | 'draining' | 'suspect' | 'dead';
  readonly device: string;
  readonly quarantined: boolean;
  readonly blocks: number;
  /** Memory for blocks, in bytes: used, and the budget, which is also the worker's weight on the ring. */
  readonly bytes: number;
  readonly budget: number;
  readonly running: number;
  readonly waiting: number;
  /** Share of prompt tokens that were not computed, 0 to 1. */
  readonly hit_rate: number;
  /** Measured time to compute a token of a prompt; null until it has been measured. */
  readonly compute_ms_per_token: number | null;
}

/** The segments that requests find most often: all of the list at first, then what has changed. Only operators get it. */
interface SegmentsMessage {
  readonly type: 'segments';
  readonly at: number;
  readonly whole: boolean;
  readonly segments: readonly FeedSegment[];
  /** Ids of segments that are no longer in the list. */
  readonly gone: readonly string[];
}

/** A segment: up to eight consecutive blocks of a prompt, which have the same homes. */
export interface FeedSegment {
  /** The first digits of its key. */
  readonly id: string;
  /** About as many requests of this coordinator found it within the last minute. */
  readonly hits: number;
  readonly blocks: number;
  /** The workers that have to keep it, by the ring. A home that is not among the holders lacks it. */
  readonly homes: readonly string[];
  /** The workers that have its first block. Those that are not its homes are guests. */
  readonly holders: readonly string[];
}

/** Blocks that came from one worker to another since the message before. Only operators get it. */
interface FlowsMessage {
  readonly type: 'flows';
  readonly at: number;
  readonly flows: readonly BlockFlow[];
}

export interface BlockFlow {
  readonly from: string;
  readonly to: string;
  /** Blocks that `to` fetched for a request. */
  readonly fetched: number;
  /** Copies that `from` had to make: of new blocks, or to repair what a death has cost. */
  readonly copied: number;
}

/** Steps of requests on this coordinator, in order. Callers with the role `user` get only their tenant's steps. */
interface StepsMessage {
  readonly type: 'steps';
  readonly steps: readonly RequestStep[];
  /** Number of requests whose steps are not sent, because there were too many at once. */
  readonly skipped: number;
}

export type RequestStep = ArrivedStep | PlacedStep | StartedStep | FoundStep | FirstStep | EndedStep;

interface Step {
  /** Names a request of this coordinator. */
  readonly id: number;
  readonly at: number;
}

interface ArrivedStep extends Step {
  readonly step: 'arrived';
  /** The `x-request-id` by which its client knows it; absent if it came in no request of HTTP. The choices of an answer share it. */
  readonly request?: string;
  /** Of the prompt. */
  readonly tokens: number;
}

/** A worker was chosen: the first time, or again after the loss of the one before. */
export interface PlacedStep extends Step {
  readonly step: 'placed';
  readonly worker: string;
  /** Tokens of the answer that the request brings along from workers that were lost. They count as prompt for this worker. */
  readonly resumed: number;
  /** The cheapest workers, cheapest first, at most 6. */
  readonly candidates: readonly CandidateCost[];
  /** Workers that may send blocks, most promising first. */
  readonly sources: readonly string[];
}

export interface CandidateCost {
  readonly worker: string;
  readonly cost_ms: number;
  /** Blocks in its own memory, and blocks that it would fetch. */
  readonly local: number;
  readonly remote: number;
  /** Tokens that it would compute. */
  readonly compute: number;
}

/** The cached prefix is in place on the worker, and the rest is being computed. */
export interface StartedStep extends Step {
  readonly step: 'started';
  readonly worker: string;
  readonly cached: TokensBySource;
  readonly queue_ms: number;
}

/** The worker's own account of the blocks that were not in its device memory before. It comes later than it happened, perhaps after the end. */
export interface FoundStep extends Step {
  readonly step: 'found';
  readonly worker: string;
  /** Blocks that were in its lower tiers. */
  readonly host: number;
  readonly disk: number;
  /** Blocks that came from other workers, the most first. */
  readonly from: readonly SentBlocks[];
}

/** Blocks that one other worker sent. */
export interface SentBlocks {
  readonly worker: string;
  readonly blocks: number;
  /** Those of them that it had sent as copies; the others were fetched. */
  readonly copied: number;
}

/** Prompt tokens by where their K/V came from. */
export interface TokensBySource {
  readonly local: number;
  readonly remote: number;
  readonly computed: number;
}

/** The first token from the worker that started last: each worker that continues an answer has one. */
interface FirstStep extends Step {
  readonly step: 'first';
}

export interface EndedStep extends Step {
  readonly step: 'ended';
  /** Of the answer. */
  readonly tokens: number;
  readonly outcome: 'done' | 'cancelled' | 'failed';
}

interface HappenedMessage {
  readonly type: 'happened';
  readonly happening: Happening;
}

/** A change of the fleet to mark on the plots. */
export interface Happening {
  readonly at: number;
  readonly kind: HappeningKind;
  /** Null if it concerns the whole fleet. */
  readonly worker: string | null;
  /** Of `damaged`: the worker that sent the blocks. */
  readonly from?: string;
  /** Of `disturbed`: what an operator did, and for how long; no time for a kill. */
  readonly fault?: Disturbance;
  readonly seconds?: number;
}

/** `stop`: of the nats-server. */
export type Disturbance = 'kill' | 'pause' | 'slow' | 'cut-off' | 'corrupt' | 'stop';

/** `back`: a worker that was taken for dead is heard again, in the same process. `damaged`: a worker refuses blocks of another. */
export type HappeningKind =
  | 'joined'
  | 'restarted'
  | 'serving'
  | 'draining'
  | 'suspect'
  | 'dead'
  | 'left'
  | 'back'
  | 'damaged'
  | 'disturbed'
  | 'quarantined'
  | 'copies-short'
  | 'copies-restored'
  | 'nats-lost'
  | 'nats-back';

/** Sent every second, so that a client notices a coordinator that is gone. */
interface BeatMessage {
  readonly type: 'beat';
  readonly at: number;
}

/** The answer of `GET /v1/fleet/history`: series with one value for each time in `at`. */
export interface HistoryAnswer {
  readonly step_ms: number;
  /** The coordinator's clock now. */
  readonly now: number;
  readonly at: readonly number[];
  readonly series: Readonly<Record<HistorySeries, readonly (number | null)[]>>;
  readonly happened: readonly Happening[];
}

/**
 * Counts are per second. Latencies are medians and 95th percentiles of the step, in milliseconds; null if there was none. `itl`: from one token of an
 * answer to the next. The counts of workers, from `fetched_bytes` on, are null if none told of itself in the step.
 */
export type HistorySeries =
  | 'requests'
  | 'failed'
  | 'local'
  | 'remote'
  | 'computed'
  | 'generated'
  | 'ttft_p50'
  | 'ttft_p95'
  | 'queue_p50'
  | 'running'
  | 'waiting'
  | 'serving'
  | 'blocks'
  | 'below'
  | 'bytes'
  | 'itl_p50'
  | 'itl_p95'
  | 'fetched_bytes'
  | 'copied_bytes'
  | 'evicted'
  | 'damaged'
  | 'audits_right'
  | 'audits_wrong';
