import { Refused, type ShoalError } from '../errors.js';
import { type HubId, hubIdText } from './hub-id.js';
import { HubUnavailable, readRetryAfterMs } from './retry.js';

/** The parts of the hub's answer that say why it is none. */
export interface HubRefusal {
  readonly status: number;
  /** Of the header `x-error-code`, such as `GatedRepo`. */
  readonly code: string | null;
  readonly retryAfter: string | undefined;
}

/**
 * The error for an answer of the hub that is not the one asked for: what it means, and what to do.
 * @param path the file that was asked for; null for the repository itself
 * @param hasToken whether a token was sent
 * @param nowMs milliseconds since 1970
 */
export function hubError(
  id: HubId,
  path: string | null,
  { status, code, retryAfter }: HubRefusal,
  { endpoint, hasToken, nowMs }: { endpoint: string; hasToken: boolean; nowMs: number },
): ShoalError {
  const subject = `cannot load ${path === null ? '' : `${path} of `}${hubIdText(id)}`;
  const page = `${endpoint}/${id.repository}`;
  if (status === 429 || status >= 500) {
    const what = status === 429 ? 'its rate limit is reached' : `it answered with HTTP status ${status}`;
    const advice = status === 429 && !hasToken ? 'try again later, or set HF_TOKEN' : 'try again later';
    return new HubUnavailable(`${subject} from ${endpoint}: ${what}; ${advice}`, readRetryAfterMs(retryAfter, nowMs));
  }
  if (code === 'GatedRepo' || (status === 403 && code === null)) {
    const step = hasToken ? 'with the account of HF_TOKEN' : 'and set HF_TOKEN to a token of that account';
    return new Refused(`${subject}: access to it is gated; ask for access at ${page} ${step}`);
  }
  if (code === 'RevisionNotFound') {
    return new Refused(
      `${subject}: ${id.repository} has no revision ${id.revision}; see ${page}/tree/main for its branches`,
    );
  }
  if (status === 404 && path !== null) return new Refused(`${subject}: there is no such file; see ${page}/tree/main`);
  if (status === 401 || status === 403 || status === 404) {
    const access = hasToken ? 'check that the account of HF_TOKEN may read it' : 'set HF_TOKEN if it is private';
    return new Refused(
      `${subject}: ${endpoint} has no such model, or does not show it; check the name, ${access}, or write ./${id.repository} for a folder`,
    );
  }
  return new Refused(`${subject}: ${endpoint} answered with HTTP status ${status}; check HF_ENDPOINT`);
}
