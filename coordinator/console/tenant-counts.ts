import type { TokensBySource } from '../../src/console/feed-messages.js';
import type { TenantRow, TenantsAnswer } from '../../src/console/table-answers.js';

/** This coordinator's counts for each tenant since it started. */

/** Limit on the tenants; the tenant without requests for the longest time is dropped. @internal exported for tests. */
export const COUNTED_TENANTS = 1_024;

interface Counts {
  running: number;
  requests: number;
  failed: number;
  cached: TokensBySource;
  generated: number;
  lastMs: number;
}

/** The counts of the tenant of one request. */
export interface TenantUse {
  started(cached: TokensBySource): void;
  generated(tokens: number): void;
  ended(outcome: 'done' | 'cancelled' | 'failed'): void;
}

export class TenantCounts {
  /** Least recently used first. */
  private readonly counts = new Map<string | null, Counts>();

  constructor(private readonly startedMs: number) {}

  /** A request begins. */
  begin(tenant: string | null, nowMs: number): TenantUse {
    const counts = this.countsOf(tenant, nowMs);
    counts.running++;
    counts.lastMs = nowMs;
    return {
      started: ({ local, remote, computed }) => {
        const { cached } = counts;
        counts.cached = {
          local: cached.local + local,
          remote: cached.remote + remote,
          computed: cached.computed + computed,
        };
      },
      generated: (tokens) => {
        counts.generated += tokens;
      },
      ended: (outcome) => {
        counts.running--;
        counts.requests++;
        if (outcome === 'failed') counts.failed++;
      },
    };
  }

  /** The tenant that asked last comes first. */
  answer(nowMs: number): TenantsAnswer {
    const tenants = [...this.counts].reverse().map(([tenant, { lastMs, ...counts }]): TenantRow => {
      return { tenant, ...counts, idle_seconds: seconds(nowMs - lastMs) };
    });
    return { since_seconds: seconds(nowMs - this.startedMs), tenants };
  }

  private countsOf(tenant: string | null, nowMs: number): Counts {
    const known = this.counts.get(tenant);
    const cached = { local: 0, remote: 0, computed: 0 };
    const counts = known ?? { running: 0, requests: 0, failed: 0, cached, generated: 0, lastMs: nowMs };
    this.counts.delete(tenant);
    this.counts.set(tenant, counts);
    if (this.counts.size > COUNTED_TENANTS) this.counts.delete(this.counts.keys().next().value!);
    return counts;
  }
}

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
