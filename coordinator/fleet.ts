import type { TierName } from '../src/core/block.js';
import type { Recommendation } from '../src/core/capacity/recommendation.js';
import type { Member } from '../src/core/member.js';
import type { Salt } from '../src/core/salt.js';
import type { Accused } from '../src/core/tribunal.js';
import type { AdapterRef } from '../src/protocol/adapter.js';
import type { GenerateEvent, GenerateRequest, Sampling, Stopping } from '../src/protocol/generate.js';
import type { Span } from '../src/trace/span.js';
import type { Departure } from './advice/departure.js';

/** The port between the HTTP layer and the fleet. It hides workers' addresses and placement. */
export interface Fleet {
  /**
   * Runs one sequence, and resumes it on another worker if one dies. Yields one `start`, then tokens, then one `end`.
   * Rejects with `InvalidRequest`, `Overloaded`, `Unavailable`, `Cancelled` or `DeadlineExceeded`.
   */
  generate(request: FleetRequest, signal: AbortSignal): AsyncIterable<FleetEvent>;
  view(): FleetView;
  /** Where each full block of a prompt is, with the reason for each miss. */
  explain(tokens: Uint32Array, salt: Salt | null, adapter?: AdapterRef | null): Promise<Explanation>;
  /** Tells a worker to accept nothing new, finish its requests and hand over its blocks. Rejects with `InvalidRequest` for an unknown id. */
  drain(worker: string): Promise<void>;
  /** Tells a drained worker to serve again. Rejects with `InvalidRequest` for an unknown id, and with `Refused` if the worker is stopping. */
  undrain(worker: string): Promise<void>;
  /** Whether a worker can end without the loss of a request or of a block's last copy; null for an unknown id. */
  departure(worker: string): Promise<Departure | null>;
  /** How many workers the fleet should have, by the load of the last minutes. */
  recommendation(): Recommendation;
  /** Lifts the quarantine of a worker. False if it is not quarantined. @throws Unavailable while NATS is lost */
  pardon(worker: string): boolean;
  /** Drops every block in the fleet. */
  resetCache(): Promise<void>;
  /** Checks that NATS is reachable and that a worker is serving, with the time each check took. */
  health(): Promise<HealthCheck[]>;
}

export interface FleetRequest {
  readonly requestId: string;
  /** The client's request, of which this is one choice: its `x-request-id`, and when it arrived. Default: it came in no request of HTTP. */
  readonly asked?: AskedRequest;
  readonly tokens: Uint32Array;
  /** Separates tenants: equal prefixes under different salts share no blocks. */
  readonly salt: Salt | null;
  /** The adapter with which the model runs. Default: none. */
  readonly adapter?: AdapterRef | null;
  /** Shares the workers fairly with other tenants; null without a key. */
  readonly tenant?: GenerateRequest['tenant'] | null;
  readonly sampling: Sampling;
  readonly stopping: Stopping;
  /**
   * Tokens of the answer for which a worker must have room; by default all that `stopping` allows. An answer whose length the client left open
   * may end earlier on a worker with a smaller context.
   */
  readonly leastAnswerTokens?: number;
  /** As in `GenerateRequest`. */
  readonly bursts?: boolean;
  /**
   * The worker that runs the request, which is `Unavailable` if that worker is not serving; null for any worker. If the worker is lost meanwhile,
   * another one continues.
   */
  readonly worker: string | null;
  /** Gets placements and attempts. Default: nothing is recorded. */
  readonly span?: Span;
}

/** A request of HTTP. */
interface AskedRequest {
  readonly id: string;
  /** By the coordinator's clock. */
  readonly arrivedMs: number;
}

/** The events of a worker; `start` also names the worker. */
export type FleetEvent =
  | Exclude<GenerateEvent, { type: 'start' }>
  | (Extract<GenerateEvent, { type: 'start' }> & { worker: string });

export interface FleetView {
  readonly epoch: string;
  /** The ids of the workers on the ring, in order. */
  readonly ring: readonly string[];
  readonly replicas: number;
  readonly coordinators: readonly { readonly id: string; readonly pid: number; readonly host: string }[];
  readonly workers: readonly Member[];
  readonly natsConnected: boolean;
  /** Why a bucket of the fleet in NATS does not work, with a remedy; null if all do. */
  readonly storeFault: string | null;
  /** The processes that made wrong blocks. */
  readonly quarantined: readonly Accused[];
}

export interface Explanation {
  readonly blocks: readonly {
    readonly index: number;
    readonly key: string;
    readonly homes: readonly string[];
    readonly holders: readonly string[];
    /** Tier by holder, for the holders that answered. */
    readonly tiers: Readonly<Record<string, TierName>>;
    readonly state: 'hit' | 'miss';
    /** Why it is a miss; null for a hit. */
    readonly reason: string | null;
  }[];
  readonly wouldRunOn: string | null;
}

export interface HealthCheck {
  readonly name: string;
  readonly ok: boolean;
  /** Without it nothing is served. If it is not required, its failure only degrades the service. */
  readonly required: boolean;
  readonly latencyMs: number;
  readonly detail: string;
}
