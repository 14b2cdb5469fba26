/** The answers of the routes of the cache that the console reads: the types that both sides share. */

/** The answer of `POST /v1/cache/explain`. */
export interface CacheExplanation {
  /** Number of tokens of the prompt. */
  readonly tokens: number;
  readonly blocks: readonly ExplainedBlock[];
  /** The worker that would get the prompt now; null if none can take it. */
  readonly would_run_on: string | null;
}

export interface ExplainedBlock {
  readonly index: number;
  readonly key: string;
  readonly homes: readonly string[];
  readonly holders: readonly string[];
  /** Tier by holder, for the holders that answered. */
  readonly tiers: Readonly<Record<string, string>>;
  readonly state: 'hit' | 'miss';
  /** The cause of a miss; null for a hit. */
  readonly reason: string | null;
}

/** One of `GET /v1/cache/pins`, and the answer of `POST /v1/cache/pin`. Times are in seconds since 1970. */
export interface CachePin {
  readonly id: string;
  /** The layer into which it is published; null for none. */
  readonly share: string | null;
  readonly tokens: number;
  readonly blocks: number;
  readonly copies: number;
  readonly state: 'pending' | 'held' | 'short' | 'failed';
  readonly reason: string | null;
  readonly created_at: number;
  readonly expires_at: number;
}

/** The answer of `POST /v1/cache/purge` and of `GET /v1/cache/purge/{id}`. */
export interface CachePurge {
  readonly id: string;
  readonly what: 'tenant' | 'salt' | 'prompt' | 'share';
  readonly state: 'complete' | 'incomplete';
  /** In seconds since 1970. */
  readonly created_at: number;
  /** Pins that it ended. */
  readonly pins: number;
  /** Answers for retries that coordinators forgot. */
  readonly answers: number;
  /** Of all workers together; `blocks` counts each block once, however many workers had it. */
  readonly dropped: DroppedCopies;
  /** Whether `dropped.blocks` is exact. It is an estimate for very many blocks. */
  readonly exact: boolean;
  readonly workers: readonly (DroppedCopies & { readonly id: string; readonly state: 'done' | 'unreachable' })[];
}

/**
 * Copies of blocks by tier, and different blocks. `replicas` are the blocks that have another worker as first home. `values` and `responses` are
 * copies of values of clients and of stored answers.
 */
interface DroppedCopies {
  readonly device: number;
  readonly host: number;
  readonly disk: number;
  readonly blocks: number;
  readonly replicas: number;
  readonly values: number;
  readonly responses: number;
}
