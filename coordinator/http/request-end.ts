import type { Log } from '../../src/log.js';
import type { Span } from '../../src/trace/span.js';
import type { Principal } from '../access/principal.js';
import type { AnswerAccount } from '../openai/answer-account.js';
import type { ApiError } from '../openai/api-error.js';
import type { Trail } from '../trail/trail.js';
import { requestEntry, type TokenCounts } from './request-entry.js';
import type { HttpRoute } from './route.js';

/** The records of a request's end in the log, the trace, the metrics and the audit log. */

/** The tokens of a request, and, where tokens were generated, their account. */
export interface RequestAccount {
  readonly tokens: TokenCounts;
  readonly answer: AnswerAccount | null;
}

/** The parts of the framework's request that it needs. */
interface EndedRequest {
  readonly id: string;
  readonly method: string;
  readonly params: unknown;
  readonly raw: { readonly socket: { readonly remoteAddress?: string | undefined } };
  readonly routeOptions: { readonly config: { readonly route?: HttpRoute } };
  readonly principal: Principal | null;
  readonly arrivedMs: number;
  readonly account: (() => RequestAccount) | null;
  /** Null if its head was refused. */
  readonly span: Span | null;
  readonly traceId: string | null;
}

export interface RequestEndPorts {
  readonly clock: { now(): number };
  readonly log: Log;
  readonly trail: Trail;
  /** Called once for each request that matched a route, with its final status; 499 if the client disconnected. */
  onEnd(route: HttpRoute, status: number, durationMs: number): void;
}

/** Records the end of a request. Call once. */
export function recordEnd(request: EndedRequest, status: number, error: ApiError | null, ports: RequestEndPorts): void {
  const durationMs = ports.clock.now() - request.arrivedMs;
  const { route } = request.routeOptions.config;
  const { tokens = null, answer = null } = request.account?.() ?? {};
  const { id: requestId, method, params, principal, traceId } = request;
  const ids = { requestId, ...(traceId === null ? {} : { traceId }) };
  const fields = { ...ids, method, route: route?.path ?? null, status, durationMs, ...answer };
  if (route?.generates) ports.log.info(fields, 'answered');
  else ports.log.debug(fields, 'answered');
  request.span?.set({ 'http.response.status_code': status, ...(error?.code ? { 'error.type': error.code } : {}) });
  request.span?.end(status >= 500 ? error : null);
  if (route !== undefined) ports.onEnd(route, status, durationMs);
  const who = { requestId, principal, address: request.raw.socket.remoteAddress ?? null };
  const entry = requestEntry({ ...who, method, route: route ?? null, params, status, error, tokens, durationMs });
  if (entry !== null) ports.trail.write(entry);
}
