import type { TierName } from '../src/core/block.js';
import type { Member } from '../src/core/member.js';
import type { GenerateEvent, Sampling, Stopping } from '../src/protocol/generate.js';

/** What the HTTP surface needs of the fleet. It knows neither workers' addresses nor placement. */
export interface Fleet {
  /**
   * Runs one sequence somewhere, on another worker if one dies. Yields one `start`, then tokens, then one `end`.
   * Rejects with `InvalidRequest`, `Overloaded`, `Unavailable`, `Cancelled` or `DeadlineExceeded`.
   */
  generate(request: FleetRequest, signal: AbortSignal): AsyncIterable<FleetEvent>;
  view(): FleetView;
  /** Where each full block of a prompt is, and why a miss is a miss. */
  explain(tokens: Uint32Array, salt: string | null): Promise<Explanation>;
  /** Lets a worker finish what it has, hand over its blocks, and take nothing new. Rejects with `InvalidRequest` for an unknown id. */
  drain(worker: string): Promise<void>;
  /** Forgets every block in the fleet. */
  resetCache(): Promise<void>;
  /** Is the control plane there, and is anybody serving? With the time each check took. */
  health(): Promise<HealthCheck[]>;
}

export interface FleetRequest {
  readonly requestId: string;
  readonly tokens: Uint32Array;
  /** Separates prompts of different tenants or keys: equal prefixes under different salts share nothing. */
  readonly salt: string | null;
  readonly sampling: Sampling;
  readonly stopping: Stopping;
  /** Send it to this worker and no other; `Unavailable` if it is not serving. */
  readonly worker: string | null;
}

/** A worker's events; the first says who. */
export type FleetEvent =
  | Exclude<GenerateEvent, { type: 'start' }>
  | (Extract<GenerateEvent, { type: 'start' }> & { worker: string });

export interface FleetView {
  readonly epoch: string;
  readonly replicas: number;
  readonly coordinators: readonly { readonly id: string; readonly pid: number; readonly host: string }[];
  readonly workers: readonly Member[];
}

export interface Explanation {
  readonly blocks: readonly {
    readonly index: number;
    readonly key: string;
    readonly homes: readonly string[];
    readonly holders: readonly string[];
    /** In which tier each holder has it, as far as it says. */
    readonly tiers: Readonly<Record<string, TierName>>;
    readonly state: 'hit' | 'miss';
    /** For a miss: never computed, evicted, partial parent missing, ... */
    readonly reason: string | null;
  }[];
  readonly wouldRunOn: string | null;
}

export interface HealthCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly latencyMs: number;
  readonly detail: string;
}
