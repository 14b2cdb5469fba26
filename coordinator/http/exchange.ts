import type { IncomingMessage, ServerResponse } from 'node:http';
import { NO_SPAN, type Span } from '../../src/trace/span.js';
import type { Principal } from '../access/principal.js';
import type { RequestAccount } from './request-end.js';
import type { Exchange, Upload } from './route.js';

/** Makes the exchange, a route's view of a request. */

/** The parts of the framework's request that it needs. */
interface ServedRequest {
  readonly id: string;
  readonly params: unknown;
  readonly body: unknown;
  readonly headers: IncomingMessage['headers'];
  readonly method: string;
  readonly url: string;
  readonly raw: IncomingMessage;
  readonly principal: Principal | null;
  readonly arrivedMs: number;
  account: (() => RequestAccount) | null;
  readonly span: Span | null;
}

interface ServedReply {
  readonly raw: ServerResponse;
  readonly sent: boolean;
  headers(headers: Readonly<Record<string, string>>): unknown;
}

/** The exchange of a request after its body was read. */
export function exchangeOf(
  request: ServedRequest,
  reply: ServedReply,
  signal: AbortSignal,
  uploads: boolean,
): Exchange {
  const { raw } = reply;
  return {
    use: null,
    span: request.span ?? NO_SPAN,
    account: (account) => {
      request.account = account;
    },
    answerHeaders: (headers) => {
      if (!reply.sent) reply.headers(headers);
    },
    requestId: request.id,
    params: request.params as Record<string, string>,
    body: request.body,
    target: request.url,
    method: request.method,
    upload: uploads ? uploadOf(request.raw) : null,
    principal: request.principal,
    arrivedMs: request.arrivedMs,
    signal,
    onClose: closingOf(raw),
    headers: request.headers,
    header: (name) => {
      const value = request.headers[name];
      return (Array.isArray(value) ? value[0] : value) ?? null;
    },
  };
}

/** One listener of the response for all callbacks: Node warns of a leak above ten, and the framework adds its own. */
function closingOf(response: ServerResponse): Exchange['onClose'] {
  const callbacks: (() => void)[] = [];
  return (callback) => {
    if (response.closed) callback();
    else if (callbacks.push(callback) === 1) {
      response.once('close', () => {
        for (const each of callbacks) each();
      });
    }
  };
}

function uploadOf(request: IncomingMessage): Upload {
  const length = request.headers['content-length'];
  const none = length === undefined && request.headers['transfer-encoding'] === undefined;
  return { bytes: none ? 0 : length === undefined ? null : Number(length), chunks: request };
}
