import type { Clock } from '../../src/clock.js';
import type { CandidateCost, RequestStep } from '../../src/console/feed-messages.js';
import type { Candidate } from '../../src/core/placement.js';
import type { StartEvent } from '../attempts.js';

/** Follows requests through the coordinator, and tells the steps of a bounded number of them to those who watch. */

/** Requests a second of which steps are told, and as many at once. @internal exported for tests. */
export const WATCHED_PER_SECOND = 250;
/** Candidates in one step. */
const CANDIDATES = 6;

/** A step, with the tenant of its request; null without keys. */
export interface TenantStep {
  readonly tenant: string | null;
  readonly step: RequestStep;
}

export interface JournalListener {
  step(step: TenantStep): void;
  /** A request of this tenant is not told. */
  skipped(tenant: string | null): void;
}

/** A request that is being followed. */
export interface FollowedRequest {
  first(): void;
  ended(tokens: number, outcome: 'done' | 'cancelled' | 'failed'): void;
}

/** What the router decided for a request. */
export interface PlacementNews {
  readonly requestId: string;
  readonly worker: string;
  readonly resumed: number;
  readonly candidates: readonly Candidate[];
}

export class RequestJournal {
  private readonly followed = new Map<string, { readonly id: number; readonly tenant: string | null }>();
  private listener: JournalListener | null = null;
  private requests = 0;
  /** Requests that may still be told: a token bucket. */
  private room = WATCHED_PER_SECOND;
  private refilledMs: number;

  constructor(private readonly clock: Pick<Clock, 'now'>) {
    this.refilledMs = clock.now();
  }

  /** Begins to tell the steps of new requests to `listener`, or stops with null. */
  watch(listener: JournalListener | null): void {
    this.listener = listener;
    this.followed.clear();
  }

  /** Follows a request; null if nobody watches, or if there are too many. */
  arrived(requestId: string, tenant: string | null, promptTokens: number): FollowedRequest | null {
    if (this.listener === null) return null;
    const id = ++this.requests;
    if (!this.takeRoom()) {
      this.listener.skipped(tenant);
      return null;
    }
    this.followed.set(requestId, { id, tenant });
    this.tell(requestId, { step: 'arrived', id, at: this.clock.now(), tokens: promptTokens });
    return {
      first: () => this.tell(requestId, { step: 'first', id, at: this.clock.now() }),
      ended: (tokens, outcome) => {
        this.tell(requestId, { step: 'ended', id, at: this.clock.now(), tokens, outcome });
        this.followed.delete(requestId);
      },
    };
  }

  placed({ requestId, worker, resumed, candidates }: PlacementNews): void {
    const id = this.followed.get(requestId)?.id;
    if (id === undefined) return;
    const chosen = candidates.find((candidate) => candidate.worker === worker);
    this.tell(requestId, {
      step: 'placed',
      id,
      at: this.clock.now(),
      worker,
      resumed,
      candidates: candidates.slice(0, CANDIDATES).map(costOf),
      sources: (chosen?.sources ?? []).map((source) => source.worker),
    });
  }

  /** The cached prefix of a request is in place. */
  started(requestId: string, worker: string, { cached, queueMs }: StartEvent): void {
    const id = this.followed.get(requestId)?.id;
    if (id === undefined) return;
    this.tell(requestId, { step: 'started', id, at: this.clock.now(), worker, cached, queue_ms: queueMs });
  }

  private tell(requestId: string, step: RequestStep): void {
    const known = this.followed.get(requestId);
    if (known !== undefined && known.id === step.id) this.listener?.step({ tenant: known.tenant, step });
  }

  private takeRoom(): boolean {
    const nowMs = this.clock.now();
    const refill = ((nowMs - this.refilledMs) * WATCHED_PER_SECOND) / 1_000;
    this.room = Math.min(WATCHED_PER_SECOND, this.room + refill);
    this.refilledMs = nowMs;
    if (this.room < 1) return false;
    this.room -= 1;
    return true;
  }
}

function costOf({ worker, costMs, localBlocks, remoteBlocks, computeTokens }: Candidate): CandidateCost {
  return {
    worker,
    cost_ms: Math.round(costMs * 10) / 10,
    local: localBlocks,
    remote: remoteBlocks,
    compute: computeTokens,
  };
}
