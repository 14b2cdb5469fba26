import type { Bus, Subscription } from '../../src/bus/bus.js';
import type { Clock, Timer } from '../../src/clock.js';
import type { UseLimits } from '../../src/config/grants.js';
import { tryPublish } from '../../src/fleet/try-publish.js';
import { SUBJECTS_PER_USAGE, UsageMessage } from '../../src/protocol/usage.js';
import { encode } from '../../src/wire/msgpack.js';
import { readMessage } from '../../src/wire/read-message.js';
import type { Principal } from '../access/principal.js';
import { type Moment, Quota, type RequestKind } from './quota.js';
import { QuotaUse } from './quota-use.js';
import { UseElsewhere } from './use-elsewhere.js';

/** Time for which changes are collected before they are announced. It bounds what several coordinators can allow at once. @internal exported for tests. */
export const ANNOUNCE_PAUSE_MS = 25;
/** How often everything in use is announced again, for coordinators that are new or lost a message. */
const REPEAT_INTERVAL_MS = 2_000;
/** Keys and subjects with limits that are remembered. */
const QUOTAS = 16_384;
/** Limit on the coordinators whose use is counted; a restarted one counts as another. */
const ORIGINS = 1_024;

export interface QuotasOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly wallMs: () => number;
  /** Subject of the bus for the coordinators' messages. */
  readonly subject: string;
  /** The incarnation of this coordinator. */
  readonly self: string;
}

/** The use of all keys and subjects that have limits, shared with the other coordinators. */
export class Quotas {
  /** Least recently used first. */
  private readonly quotas = new Map<string, Quota>();
  private readonly origins = new Set<string>();
  private readonly elsewhere = new UseElsewhere();
  private readonly changed = new Set<string>();
  private pending: Timer | null = null;
  private repeating: Timer | null = null;
  private listening: Subscription | null = null;

  constructor(private readonly options: QuotasOptions) {}

  start(): void {
    const { bus, clock, subject } = this.options;
    this.listening = bus.subscribe(subject, ({ payload }) => this.hear(payload));
    this.repeating = clock.every(REPEAT_INTERVAL_MS, () => this.repeat());
  }

  stop(): void {
    this.listening?.unsubscribe();
    this.repeating?.cancel();
    this.pending?.cancel();
  }

  /**
   * Begins the use of the API by a request; null if the principal has no limits.
   * @throws ApiError 429 that names the limit, with the time after which a retry may succeed
   */
  begin(principal: Principal | null, kind: RequestKind = 'computed'): QuotaUse | null {
    if (principal === null || !isLimited(principal.limits)) return null;
    const { holder: subject, id, limits } = principal;
    const quota = this.quotaOf(subject, limits);
    const world = { at: () => this.moment(), onChange: () => this.announce(subject) };
    const use = new QuotaUse(quota, { id, limits }, world);
    use.begin(kind);
    return use;
  }

  private moment(): Moment {
    return { nowMs: this.options.clock.now(), wallMs: this.options.wallMs() };
  }

  private quotaOf(subject: string, limits: UseLimits): Quota {
    const quota = this.quotas.get(subject) ?? this.makeQuota(subject, limits);
    this.quotas.delete(subject);
    this.quotas.set(subject, quota);
    if (this.quotas.size > QUOTAS) this.forgetOne();
    return quota;
  }

  /** A new quota, in which the use that other coordinators reported counts. */
  private makeQuota(subject: string, limits: UseLimits): Quota {
    const reports = this.elsewhere.take(subject);
    const quota = new Quota(limits, reports[0]?.at ?? this.moment());
    for (const { from, usage, at } of reports) quota.hear(from, usage, at);
    return quota;
  }

  private forgetOne(): void {
    const at = this.moment();
    const idle = [...this.quotas].find(([, quota]) => quota.idle(at));
    this.quotas.delete(idle?.[0] ?? this.quotas.keys().next().value!);
  }

  private announce(subject: string): void {
    this.changed.add(subject);
    this.pending ??= this.options.clock.after(ANNOUNCE_PAUSE_MS, () => this.publish());
  }

  private repeat(): void {
    const at = this.moment();
    for (const [subject, quota] of this.quotas) if (!quota.idle(at)) this.changed.add(subject);
    if (this.changed.size > 0) this.publish();
  }

  private publish(): void {
    this.pending?.cancel();
    this.pending = null;
    const at = this.moment();
    const usages = [...this.changed].flatMap((subject) => this.quotas.get(subject)?.usage(subject, at) ?? []);
    this.changed.clear();
    for (let from = 0; from < usages.length; from += SUBJECTS_PER_USAGE) {
      const message = { from: this.options.self, subjects: usages.slice(from, from + SUBJECTS_PER_USAGE) };
      tryPublish(this.options.bus, this.options.subject, encode(message));
    }
  }

  private hear(payload: Uint8Array): void {
    const message = readMessage(UsageMessage, payload);
    if (message === null || message.from === this.options.self) return;
    this.remember(message.from);
    const at = this.moment();
    for (const usage of message.subjects) {
      const quota = this.quotas.get(usage.subject);
      if (quota === undefined) this.elsewhere.add(message.from, usage, at);
      else quota.hear(message.from, usage, at);
    }
  }

  private remember(origin: string): void {
    this.origins.delete(origin);
    this.origins.add(origin);
    if (this.origins.size <= ORIGINS) return;
    const oldest = this.origins.values().next().value!;
    this.origins.delete(oldest);
    for (const quota of this.quotas.values()) quota.forget(oldest);
  }
}

function isLimited(limits: UseLimits): boolean {
  const { requestsPerMinute, tokensPerMinute, concurrentRequests, tokensPerDay } = limits;
  return [requestsPerMinute, tokensPerMinute, concurrentRequests, tokensPerDay].some((limit) => limit !== null);
}
