import type { ApiError } from '../api-error.js';

/** Errors in the form of Anthropic's API. */

/** Anthropic's error types by status; any other status is an `invalid_request_error`. */
const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  408: 'timeout_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  503: 'overloaded_error',
};

/** By this, Anthropic's SDK sends the whole conversation in place of a thread. */
const NO_THREADS = { error_code: 'thread_unsupported_request', unsupported: ['thread'] };

/** The body of an error, and the event with which a stream ends. */
export function messageError({ status, message, param, code }: ApiError, requestId: string): object {
  const type = TYPES[status] ?? 'invalid_request_error';
  const details = param === 'thread' ? { details: NO_THREADS } : {};
  return { type: 'error', error: { type, message, param, code, ...details }, request_id: requestId };
}
