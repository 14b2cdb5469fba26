import type { UseLimits } from '../../src/config/grants.js';
import { ApiError } from '../openai/api-error.js';
import type { Allowance, Exceeded, Moment, Quota, RequestKind, TokenNeed } from './quota.js';

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
  /** Tokens of its answers that have not come. */
  private reserved = 0;

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

  /** Counts the tokens of the prompts, and reserves those of the answers until they come or the request ends. @throws ApiError 429 */
  prompt(prompt: number, answers = 0): void {
    const at = this.judge();
    const need = { prompt, answers };
    this.check(this.quota.prompt(need, at), need);
    this.reserved += answers;
    this.world.onChange();
  }

  /** The tokens of the day that answers may have after a prompt, at least 0; null: there is no limit. */
  leftToday(prompt: number): number | null {
    const left = this.quota.leftToday(this.judge());
    return left && Math.max(0, left - prompt);
  }

  /** Counts tokens of the answer, which are never refused. */
  generated(tokens: number): void {
    this.quota.spend(tokens, this.world.at());
    this.unreserve(Math.min(tokens, this.reserved));
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
    this.unreserve(this.reserved);
    this.world.onChange();
  }

  private unreserve(tokens: number): void {
    this.reserved -= tokens;
    this.quota.unreserve(tokens);
  }

  /** Another credential of the same subject may have been checked against its own limits meanwhile. */
  private judge(): Moment {
    const at = this.world.at();
    this.quota.limit(this.credential.limits, at);
    return at;
  }

  private check(exceeded: Exceeded | null, need: TokenNeed = { prompt: 0, answers: 0 }): void {
    if (exceeded === null) return;
    const headers = this.headers();
    if (exceeded.limit === 'prompt' || exceeded.limit === 'size') {
      throw new ApiError(429, this.tooLarge(exceeded.limit, need), { code: 'request_too_large', headers });
    }
    const retryAfterS = 'waitMs' in exceeded ? Math.max(1, Math.ceil(exceeded.waitMs / 1_000)) : 1;
    const reason = `the key '${this.credential.id}' ${this.describe(exceeded.limit, need)}`;
    throw new ApiError(429, `cannot take the request: ${reason}; retry in ${retryAfterS} s`, { retryAfterS, headers });
  }

  private tooLarge(limit: 'prompt' | 'size', { prompt, answers }: TokenNeed): string {
    const { id, limits } = this.credential;
    return limit === 'prompt'
      ? `prompt: has ${prompt} tokens; the key '${id}' may use ${limits.tokensPerMinute} tokens per minute`
      : `prompt and answers: may have ${prompt + answers} tokens; the key '${id}' may use ${limits.tokensPerDay} tokens per day`;
  }

  private describe(limit: Exclude<Exceeded['limit'], 'prompt' | 'size'>, { prompt, answers }: TokenNeed): string {
    const { requestsPerMinute, tokensPerMinute, tokensPerDay, concurrentRequests } = this.credential.limits;
    const tokens = prompt + answers;
    const day = tokens === 0 ? `its ${tokensPerDay} tokens per day` : `too much of its ${tokensPerDay} tokens per day`;
    const reasons = {
      requests: `has used its ${requestsPerMinute} requests per minute`,
      tokens: `has used its ${tokensPerMinute} tokens per minute`,
      day: `has used ${day}${tokens === 0 ? '' : ` for up to ${tokens} more`}`,
      reserved: `has running requests that may use the rest of its ${tokensPerDay} tokens per day`,
      concurrent: `has used its ${concurrentRequests} concurrent requests`,
    };
    return reasons[limit];
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
