import type { Clock } from '../../src/clock.js';
import type { CandidateCost, RequestStep } from '../../src/console/feed-messages.js';
import type { BlockMeta } from '../../src/core/block.js';
import type { Candidate } from '../../src/core/placement.js';
import type { StartEvent } from '../attempts.js';
import type { SegmentHeat } from './segment-heat.js';
import type { SlowRequests } from './slow-requests.js';
import type { ActivityNews } from './worker-activities.js';

/** Follows requests through the coordinator, reports the steps of a bounded number of them to watchers, and keeps the steps of the slowest. */

/** Requests a second whose steps are reported, and as many at once. @internal exported for tests. */
export const WATCHED_PER_SECOND = 250;
/** Requests that are over and still get the step `found`: workers tell of it later. @internal exported for tests. */
export const ENDED_REQUESTS = 1_024;
/** Candidates in one step. */
const CANDIDATES = 6;

/** A step, with the tenant of its request; null without keys. */
export interface TenantStep {
  readonly tenant: string | null;
  readonly step: RequestStep;
}

export interface JournalListener {
  step(step: TenantStep): void;
  /** A request of this tenant is not reported. */
  skipped(tenant: string | null): void;
}

/** A request that is being followed. */
export interface FollowedRequest {
  first(): void;
  ended(tokens: number, outcome: 'done' | 'cancelled' | 'failed'): void;
}

/** The router's decision for a request. */
export interface PlacementNews {
  readonly requestId: string;
  readonly worker: string;
  readonly resumed: number;
  readonly candidates: readonly Candidate[];
}

interface Followed {
  readonly id: number;
  readonly tenant: string | null;
  /** The receiver of its steps; null for none. */
  readonly listener: JournalListener | null;
  readonly steps: RequestStep[];
}

export class RequestJournal {
  private readonly followed = new Map<string, Followed>();
  /** Oldest first. */
  private readonly over = new Map<string, Followed>();
  private listener: JournalListener | null = null;
  /** Requests that may still be reported: a token bucket. */
  private room = WATCHED_PER_SECOND;
  private refilledMs: number;

  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    private readonly slow: Pick<SlowRequests, 'offer'>,
    private readonly heat: Pick<SegmentHeat, 'used'>,
    /** Not a count: a tenant could tell from two of its own requests how many of others came between them. */
    private readonly nextId: () => number,
  ) {
    this.refilledMs = clock.now();
  }

  /** Begins to report the steps of new requests to `listener`, or stops with null. */
  watch(listener: JournalListener | null): void {
    this.listener = listener;
  }

  /** Follows a request. It is not reported if no page watches, or if there are too many. */
  arrived(requestId: string, tenant: string | null, promptTokens: number): FollowedRequest {
    const id = this.nextId();
    const told = this.listener !== null && this.takeRoom();
    if (!told) this.listener?.skipped(tenant);
    const followed: Followed = { id, tenant, listener: told ? this.listener : null, steps: [] };
    this.followed.set(requestId, followed);
    this.tell(requestId, { step: 'arrived', id, at: this.clock.now(), tokens: promptTokens });
    return {
      first: () => this.tell(requestId, { step: 'first', id, at: this.clock.now() }),
      ended: (tokens, outcome) => {
        this.tell(requestId, { step: 'ended', id, at: this.clock.now(), tokens, outcome });
        if (this.followed.get(requestId) !== followed) return;
        this.followed.delete(requestId);
        this.remember(requestId, followed);
        this.slow.offer(tenant, followed.steps);
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
  started(requestId: string, worker: string, { cached, queueMs }: StartEvent, blocks: readonly BlockMeta[]): void {
    const id = this.followed.get(requestId)?.id;
    if (id === undefined) return;
    this.heat.used(blocks, cached);
    this.tell(requestId, { step: 'started', id, at: this.clock.now(), worker, cached, queue_ms: queueMs });
  }

  /** A worker told what requests found. Those of other coordinators are among them. */
  found({ worker, found }: Pick<ActivityNews, 'worker' | 'found'>): void {
    for (const { requestId, host, disk, from } of found) {
      const known = this.followed.get(requestId) ?? this.over.get(requestId);
      if (known === undefined) continue;
      const sources = from.map(({ peer, blocks }) => ({ worker: peer, blocks }));
      this.record(known, { step: 'found', id: known.id, at: this.clock.now(), worker, host, disk, from: sources });
    }
  }

  private remember(requestId: string, followed: Followed): void {
    this.over.set(requestId, followed);
    if (this.over.size > ENDED_REQUESTS) this.over.delete(this.over.keys().next().value!);
  }

  private tell(requestId: string, step: RequestStep): void {
    const known = this.followed.get(requestId);
    if (known !== undefined && known.id === step.id) this.record(known, step);
  }

  private record(known: Followed, step: RequestStep): void {
    known.steps.push(step);
    // The current watchers may differ from the ones that received its beginning.
    if (known.listener !== null && known.listener === this.listener)
      known.listener.step({ tenant: known.tenant, step });
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
