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
/** Running requests whose steps so far a page gets when it opens: the latest. @internal exported for tests. */
export const RUNNING_TOLD = 128;
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
  /** Tokens of the answer have come. */
  generated(): void;
  ended(tokens: number, outcome: 'done' | 'cancelled' | 'failed'): void;
}

/** A request that begins. */
export interface ArrivedRequest {
  readonly requestId: string;
  /** Its client's name for it; null for none. */
  readonly clientId: string | null;
  readonly tenant: string | null;
  readonly promptTokens: number;
  readonly arrivedMs: number;
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
  /** Whether its steps are reported while a page watches. */
  told: boolean;
  /** Whether the worker that started last has given a token. */
  hasToken: boolean;
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

  /** Begins to report steps to `listener`, of new requests and of those that `running` gives, or stops with null. */
  watch(listener: JournalListener | null): void {
    this.listener = listener;
    if (listener === null) return;
    const first = this.followed.size - RUNNING_TOLD;
    [...this.followed.values()].forEach((followed, index) => {
      followed.told = index >= first;
    });
  }

  /** The steps so far of the latest requests that are reported and have not ended. */
  running(): TenantStep[] {
    const told = [...this.followed.values()].filter((followed) => followed.told).slice(-RUNNING_TOLD);
    return told.flatMap(({ tenant, steps }) => steps.map((step) => ({ tenant, step })));
  }

  /** Follows a request. It is not reported if no page watches, or if there are too many. */
  arrived({ requestId, clientId, tenant, promptTokens, arrivedMs }: ArrivedRequest): FollowedRequest {
    const id = this.nextId();
    const told = this.listener !== null && this.takeRoom();
    if (!told) this.listener?.skipped(tenant);
    const followed: Followed = { id, tenant, told, hasToken: false, steps: [] };
    this.followed.set(requestId, followed);
    const named = clientId === null ? {} : { request: clientId };
    this.tell(requestId, { step: 'arrived', id, at: arrivedMs, tokens: promptTokens, ...named });
    return {
      generated: () => {
        if (followed.hasToken) return;
        followed.hasToken = true;
        this.tell(requestId, { step: 'first', id, at: this.clock.now() });
      },
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
    const followed = this.followed.get(requestId);
    if (followed === undefined) return;
    const { id } = followed;
    followed.hasToken = false;
    this.heat.used(blocks, cached);
    this.tell(requestId, { step: 'started', id, at: this.clock.now(), worker, cached, queue_ms: queueMs });
  }

  /** A worker told what requests found. Those of other coordinators are among them. */
  found({ worker, found }: Pick<ActivityNews, 'worker' | 'found'>): void {
    for (const { requestId, host, disk, from } of found) {
      const known = this.followed.get(requestId) ?? this.over.get(requestId);
      if (known === undefined) continue;
      const sources = from.map(({ peer, blocks, pushed }) => ({ worker: peer, blocks, copied: pushed }));
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
    if (known.told) this.listener?.step({ tenant: known.tenant, step });
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
