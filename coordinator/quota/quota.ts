import type { UseLimits } from '../../src/config/grants.js';
import type { SubjectUsage } from '../../src/protocol/usage.js';
import type { Bucket } from './bucket.js';
import { Buckets } from './buckets.js';
import { DayCount } from './day-count.js';

/** Silence of a coordinator after which its running requests count no more. Exceeds the interval at which it repeats them. */
const RUNNING_SILENCE_MS = 5_000;

/** A repeated request gets the answer of an earlier one, which counts as running for both. */
export type RequestKind = 'computed' | 'repeated';

/** The limit that a request exceeds. */
export type Exceeded =
  | { readonly limit: 'requests' | 'tokens' | 'day'; readonly waitMs: number }
  | { readonly limit: 'concurrent' }
  /** Running requests may use what is left of the day. */
  | { readonly limit: 'reserved' }
  /** The prompt has more tokens than the limit per minute ever allows at once. */
  | { readonly limit: 'prompt' }
  /** Prompt and answers may have more tokens than the limit per day. */
  | { readonly limit: 'size' };

/** The tokens that a request may use: of all its prompts, and of all its answers. */
export interface TokenNeed {
  readonly prompt: number;
  /** At most as many: reserved while the request runs. */
  readonly answers: number;
}

/** The moment of a change: on the monotonic clock, and in milliseconds since 1970. */
export interface Moment {
  readonly nowMs: number;
  readonly wallMs: number;
}

/** The state of one kind of limit, for the headers of an answer. */
export interface Allowance {
  readonly limit: number;
  readonly remaining: number;
  /** Until all of it is available again. */
  readonly resetMs: number;
}

interface Other {
  requests: number;
  tokens: number;
  running: number;
  heardMs: number;
}

/**
 * The use of one key or subject against its limits, as one coordinator knows it. Its own use counts at once, other coordinators' use when it
 * is reported. Buckets may go into debt, so that use allowed by several coordinators at the same moment is deducted afterwards.
 *
 * A subject may have several credentials with different limits. They share one count: limits change the allowance, never the use.
 */
export class Quota {
  private readonly requests = new Buckets();
  private readonly tokens = new Buckets();
  private readonly day = new DayCount();
  private readonly others = new Map<string, Other>();
  private own = { requests: 0, tokens: 0, running: 0 };
  /** Tokens that the answers of running requests may still have. */
  private reserved = 0;
  private limitsDay = false;

  constructor(
    private current: UseLimits,
    { nowMs }: Moment,
  ) {
    this.adopt(current, nowMs);
  }

  /** Judges by these limits from now on. */
  limit(limits: UseLimits, { nowMs }: Moment): void {
    if (limits !== this.current) this.adopt(limits, nowMs);
  }

  /** Counts a request that begins. Returns the limit that it exceeds, and then counts nothing. */
  begin(at: Moment, kind: RequestKind): Exceeded | null {
    const exceeded = this.exceeded(at, kind);
    if (exceeded !== null) return exceeded;
    this.requests.use(1, at.nowMs);
    this.own.requests++;
    if (kind === 'computed') this.own.running++;
    return null;
  }

  /** A computed request that began has ended. */
  end(): void {
    this.own.running--;
  }

  /** Counts the tokens of prompts, and reserves those of their answers. Returns the limit that they exceed, and then counts nothing. */
  prompt({ prompt, answers }: TokenNeed, at: Moment): Exceeded | null {
    const bucket = this.tokens.all;
    if (bucket !== null && prompt > bucket.capacity) return { limit: 'prompt' };
    const exceeded = this.exceedsDay(prompt + answers, at);
    if (exceeded !== null) return exceeded;
    const waitMs = bucket?.waitMs(prompt, at.nowMs) ?? 0;
    if (waitMs > 0) return { limit: 'tokens', waitMs };
    this.spend(prompt, at);
    this.reserved += answers;
    return null;
  }

  /** Tokens that were reserved have come, or never will. */
  unreserve(tokens: number): void {
    this.reserved -= tokens;
  }

  /** The tokens of the day that nobody has used or reserved; null: there is no limit. */
  leftToday({ wallMs }: Moment): number | null {
    const { tokensPerDay } = this.current;
    return tokensPerDay === null ? null : tokensPerDay - this.day.report(wallMs).total - this.reserved;
  }

  /** Counts tokens. Tokens beyond the limits become a debt. */
  spend(tokens: number, { nowMs, wallMs }: Moment): void {
    this.tokens.use(tokens, nowMs);
    this.day.add(tokens, wallMs);
    this.own.tokens += tokens;
  }

  requestAllowance({ nowMs }: Moment): Allowance | null {
    const limit = this.current.requestsPerMinute;
    const bucket = this.requests.all;
    return bucket === null || limit === null ? null : allowanceOf(bucket, limit, nowMs);
  }

  /** Of the limit per minute; of the limit per day if there is no other. */
  tokenAllowance({ nowMs, wallMs }: Moment): Allowance | null {
    const { tokensPerMinute, tokensPerDay } = this.current;
    const bucket = this.tokens.all;
    if (bucket !== null && tokensPerMinute !== null) return allowanceOf(bucket, tokensPerMinute, nowMs);
    if (tokensPerDay === null) return null;
    const remaining = Math.max(0, tokensPerDay - this.day.report(wallMs).total);
    return { limit: tokensPerDay, remaining, resetMs: this.day.restMs(wallMs) };
  }

  /** This coordinator's use, for the others. */
  usage(subject: string, { nowMs, wallMs }: Moment): SubjectUsage {
    const recent = { requests: this.requests.ownMissing(nowMs), tokens: this.tokens.ownMissing(nowMs) };
    return { subject, ...this.own, recent, today: this.day.report(wallMs) };
  }

  /** Counts another coordinator's report. */
  hear(from: string, usage: SubjectUsage, { nowMs, wallMs }: Moment): void {
    const known = this.others.get(from);
    this.requests.hear(known ? since(known.requests, usage.requests) : usage.recent.requests, nowMs);
    this.tokens.hear(known ? since(known.tokens, usage.tokens) : usage.recent.tokens, nowMs);
    this.day.hear(from, usage.today, wallMs);
    this.others.set(from, {
      requests: usage.requests,
      tokens: usage.tokens,
      running: usage.running,
      heardMs: nowMs,
    });
  }

  /** Forgets a coordinator that is gone. */
  forget(from: string): void {
    this.others.delete(from);
    this.day.forget(from);
  }

  /** Whether nothing would be lost if it were forgotten. */
  idle({ nowMs, wallMs }: Moment): boolean {
    const usedToday = this.limitsDay && this.day.report(wallMs).total > 0;
    return this.running(nowMs) === 0 && this.requests.full(nowMs) && this.tokens.full(nowMs) && !usedToday;
  }

  private adopt(limits: UseLimits, nowMs: number): void {
    const { requestsPerMinute, burstRequests, tokensPerMinute, tokensPerDay } = limits;
    this.current = limits;
    this.requests.limit(requestsPerMinute, burstRequests, nowMs);
    this.tokens.limit(tokensPerMinute, tokensPerMinute ?? 0, nowMs);
    this.limitsDay ||= tokensPerDay !== null;
  }

  private exceeded({ nowMs, wallMs }: Moment, kind: RequestKind): Exceeded | null {
    const { concurrentRequests, tokensPerDay } = this.current;
    const requestsMs = this.requests.all?.waitMs(1, nowMs) ?? 0;
    if (requestsMs > 0) return { limit: 'requests', waitMs: requestsMs };
    // At least one token must be there; the prompt's own size is not known yet.
    const tokensMs = this.tokens.all?.waitMs(1, nowMs) ?? 0;
    if (tokensMs > 0) return { limit: 'tokens', waitMs: tokensMs };
    if (tokensPerDay !== null && this.day.report(wallMs).total >= tokensPerDay)
      return { limit: 'day', waitMs: this.day.restMs(wallMs) };
    if (kind === 'repeated' || concurrentRequests === null || this.running(nowMs) < concurrentRequests) return null;
    return { limit: 'concurrent' };
  }

  private exceedsDay(tokens: number, { wallMs }: Moment): Exceeded | null {
    const { tokensPerDay } = this.current;
    if (tokensPerDay === null) return null;
    if (tokens > tokensPerDay) return { limit: 'size' };
    const free = tokensPerDay - this.day.report(wallMs).total;
    if (tokens > free) return { limit: 'day', waitMs: this.day.restMs(wallMs) };
    return tokens > free - this.reserved ? { limit: 'reserved' } : null;
  }

  private running(nowMs: number): number {
    let sum = this.own.running;
    for (const { running, heardMs } of this.others.values()) if (nowMs - heardMs < RUNNING_SILENCE_MS) sum += running;
    return sum;
  }
}

function allowanceOf(bucket: Bucket, limit: number, nowMs: number): Allowance {
  const remaining = Math.max(0, Math.floor(bucket.content(nowMs)));
  return { limit, remaining, resetMs: bucket.waitMs(bucket.capacity, nowMs) };
}

/** The growth of a count, which restarts at 0 when its owner has dropped it. */
function since(before: number, now: number): number {
  return now >= before ? now - before : now;
}
