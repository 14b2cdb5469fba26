import type { RequestEntry } from '../../src/trail/entry.js';
import type { Principal } from '../access/principal.js';
import type { ApiError } from '../openai/api-error.js';
import type { HttpRoute } from './route.js';

/** The entry of a request in the audit log. */

/** Tokens of a request's prompts and answers. */
export type TokenCounts = NonNullable<RequestEntry['tokens']>;

export interface EndedRequest {
  readonly requestId: string;
  readonly principal: Principal | null;
  readonly address: string | null;
  readonly method: string;
  /** Null for a path without a route. */
  readonly route: HttpRoute | null;
  readonly params: unknown;
  readonly status: number;
  readonly error: ApiError | null;
  readonly tokens: TokenCounts | null;
  readonly durationMs: number;
}

/** The entry of a request; null for one that used, changed and tried nothing: health, and reading with a right key. */
export function requestEntry(request: EndedRequest): RequestEntry | null {
  const { route, principal, status, method } = request;
  const refused = REFUSALS.includes(status);
  const reads = route === null || method === 'GET' || method === 'HEAD' || route.access === 'open';
  if (route?.pages === 'any' || (reads && !refused)) return null;
  return {
    event: 'request',
    request_id: request.requestId,
    tenant: principal?.tenant ?? null,
    key: principal?.id ?? null,
    role: principal?.role ?? null,
    address: request.address,
    method,
    route: route?.path ?? null,
    target: targetOf(request.params),
    decision: refused ? 'refused' : status < 400 ? 'allowed' : 'failed',
    status,
    code: request.error?.code ?? null,
    tokens: request.tokens,
    duration_ms: Math.round(request.durationMs * 1_000) / 1_000,
  };
}

/** Statuses with which a caller is refused for its rights or its use. */
const REFUSALS = [401, 403, 429];

/** The name in the path, if it is one: a client may write any text there. */
function targetOf(params: unknown): string | null {
  const id = typeof params === 'object' && params !== null && 'id' in params ? params.id : null;
  return typeof id === 'string' && /^[\w.@-]{1,64}$/.test(id) ? id : null;
}
