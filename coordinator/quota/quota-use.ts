import type { UseLimits } from '../../src/config/grants.js';
import { ApiError } from '../openai/api-error.js';
import type { Allowance, Exceeded, Moment, Quota, RequestKind } from './quota.js';

interface QuotaUseWorld {
  at(): Moment;
  /** The use of the quota has changed. */
  onChange(): void;
}

/** The key or token of a request. */
interface Credential {
  /** Names the key in messages. */
  readonly id: string;
  readonly limits: UseLimits;
}

/** The use of a quota by one request. */
export class QuotaUse {
  /** The holders for which the request is still running. */
  private readonly holders = new Set<object>();

  constructor(
    private readonly quota: Quota,
    private readonly credential: Credential,
    private readonly world: QuotaUseWorld,
  ) {}

  /** @throws ApiError 429 */
  begin(kind: RequestKind): void {
    const at = this.judge();
    this.check(this.quota.begin(at, kind));
    if (kind === 'computed') this.holders.add(this);
    this.world.onChange();
  }

  /** Counts the request as running until the returned function is called too. To be called before `end`. */
  hold(): () => void {
    const holder = {};
    this.holders.add(holder);
    return () => this.release(holder);
  }

  /** Counts the tokens of the prompts. @throws ApiError 429 */
  prompt(tokens: number): void {
    const at = this.judge();
    this.check(this.quota.prompt(tokens, at), tokens);
    this.world.onChange();
  }

  /** Counts tokens of the answer, which are never refused. */
  generated(tokens: number): void {
    this.quota.spend(tokens, this.world.at());
    this.world.onChange();
  }

  /** The request is no longer running, unless it is held. Idempotent. */
  end(): void {
    this.release(this);
  }

  /** The headers `x-ratelimit-*` as OpenAI's clients know them. */
  headers(): Record<string, string> {
    const at = this.judge();
    return {
      ...headersOf('requests', this.quota.requestAllowance(at)),
      ...headersOf('tokens', this.quota.tokenAllowance(at)),
    };
  }

  private release(holder: object): void {
    if (!this.holders.delete(holder) || this.holders.size > 0) return;
    this.quota.end();
    this.world.onChange();
  }

  /** Another credential of the same subject may have been checked against its own limits meanwhile. */
  private judge(): Moment {
    const at = this.world.at();
    this.quota.limit(this.credential.limits, at);
    return at;
  }

  private check(exceeded: Exceeded | null, tokens = 0): void {
    if (exceeded === null) return;
    const headers = this.headers();
    if (exceeded.limit === 'prompt') {
      const most = this.credential.limits.tokensPerMinute;
      throw new ApiError(
        429,
        `prompt: has ${tokens} tokens; the key '${this.credential.id}' may use ${most} tokens per minute`,
        {
          code: 'request_too_large',
          headers,
        },
      );
    }
    const retryAfterS = exceeded.limit === 'concurrent' ? 1 : Math.max(1, Math.ceil(exceeded.waitMs / 1_000));
    const limit = this.describe(exceeded.limit);
    throw new ApiError(
      429,
      `cannot take the request: the key '${this.credential.id}' has used ${limit}; retry in ${retryAfterS} s`,
      {
        retryAfterS,
        headers,
      },
    );
  }

  private describe(limit: Exclude<Exceeded['limit'], 'prompt'>): string {
    const { requestsPerMinute, tokensPerMinute, tokensPerDay, concurrentRequests } = this.credential.limits;
    const limits = {
      requests: `its ${requestsPerMinute} requests per minute`,
      tokens: `its ${tokensPerMinute} tokens per minute`,
      day: `its ${tokensPerDay} tokens per day`,
      concurrent: `its ${concurrentRequests} concurrent requests`,
    };
    return limits[limit];
  }
}

function headersOf(kind: string, allowance: Allowance | null): Record<string, string> {
  if (allowance === null) return {};
  return {
    [`x-ratelimit-limit-${kind}`]: String(allowance.limit),
    [`x-ratelimit-remaining-${kind}`]: String(allowance.remaining),
    [`x-ratelimit-reset-${kind}`]: durationText(allowance.resetMs),
  };
}

/** A time as in OpenAI's headers: `250ms`, `1.5s`, `6m0s`, `2h3m4s`. */
function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.ceil(ms)}ms`;
  const seconds = Math.ceil(ms / 100) / 10;
  if (seconds < 60) return `${seconds}s`;
  const whole = Math.ceil(ms / 1_000);
  const [hours, minutes] = [Math.floor(whole / 3_600), Math.floor((whole % 3_600) / 60)];
  return `${hours > 0 ? `${hours}h` : ''}${minutes}m${whole % 60}s`;
}
