import { Refused, type ShoalError } from '../errors.js';
import { type HubId, hubIdText } from './hub-id.js';
import { HubUnavailable, readRetryAfterMs } from './retry.js';

/** The parts of the hub's answer that say why it is none. */
export interface HubRefusal {
  readonly status: number;
  /** The host that answered: the endpoint's, or a store to which it redirected. */
  readonly host: string;
  /** Of the header `x-error-code`, such as `GatedRepo`. */
  readonly code: string | null;
  /** Of the header `x-error-message`: a sentence. */
  readonly message: string | null;
  readonly retryAfter: string | undefined;
}

interface Surroundings {
  readonly endpoint: string;
  /** Whether a token was sent. */
  readonly hasToken: boolean;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

/** The hub does not show a model to the holder of this token, or to strangers. */
export class NotShown extends Refused {}

const MESSAGE_CHARS = 200;

/**
 * The error for a refusal by the hub, with its meaning and the remedy.
 * @param path the requested file; null for the repository itself
 */
export function hubError(id: HubId, path: string | null, refusal: HubRefusal, surroundings: Surroundings): ShoalError {
  const { status, host, code, message, retryAfter } = refusal;
  const { endpoint, hasToken, nowMs } = surroundings;
  const subject = `cannot load ${path === null ? '' : `${path} of `}${hubIdText(id)}`;
  if (status === 429 || status >= 500) {
    const what = status === 429 ? 'its rate limit is reached' : `it answered with HTTP status ${status}`;
    const askedMs = readRetryAfterMs(retryAfter, nowMs);
    const when = askedMs === null ? 'try again later' : `try again in ${Math.ceil(askedMs / 1000)} s`;
    const advice = status === 429 && !hasToken ? `${when}, or set HF_TOKEN` : when;
    return new HubUnavailable(`${subject} from ${endpoint}: ${what}; ${advice}`, askedMs);
  }
  if (host !== new URL(endpoint).host && code === null) {
    // The signature in the URL of a store expires; the next attempt has another one.
    const what = `${host}, to which ${endpoint} redirects, answered with HTTP status ${status}`;
    return new HubUnavailable(`${subject}: ${what}; check the proxy and the clock of this machine`, null);
  }
  const page = `${endpoint}/${id.repository}`;
  if (code === 'RevisionNotFound') {
    return new Refused(
      `${subject}: ${id.repository} has no revision ${id.revision}; see ${page}/tree/main for its branches`,
    );
  }
  if (status === 404 && path !== null) return new Refused(`${subject}: there is no such file; see ${page}/tree/main`);
  return new NotShown(`${subject}: ${accessFault(id, refusal, surroundings)}${quoted(message)}`);
}

/** Why a model is not shown, and what to do. */
function accessFault(id: HubId, { status, code, message }: HubRefusal, { endpoint, hasToken }: Surroundings): string {
  const page = `${endpoint}/${id.repository}`;
  if (status === 401 && hasToken && /credential|token/i.test(message ?? ''))
    return `${endpoint} does not accept the token of HF_TOKEN; create another one, or unset it`;
  if (/disabled/i.test(message ?? '')) return `${endpoint} has disabled access to it; see ${page}`;
  if (code === 'GatedRepo') {
    const step = hasToken ? 'with the account of HF_TOKEN' : 'and set HF_TOKEN to a token of that account';
    return `access to it is gated; ask for access at ${page} ${step}`;
  }
  if (status === 403 && code === null)
    return hasToken
      ? `the token of HF_TOKEN may not read it; give the token the right to read this repository (for gated models also "public gated repositories"), and ask for access at ${page} if it is gated`
      : `it is not shown without a token, or a proxy forbids it; ask for access at ${page} if it is gated, and set HF_TOKEN`;
  if (status === 401 || status === 403 || status === 404) {
    const access = hasToken ? 'check that the account of HF_TOKEN may read it' : 'set HF_TOKEN if it is private';
    return `${endpoint} has no such model, or does not show it; check the name, ${access}, or write ./${id.repository} for a folder`;
  }
  return `${endpoint} answered with HTTP status ${status}; check HF_ENDPOINT`;
}

/** The hub's own words, in one line. They come from outside. */
function quoted(message: string | null): string {
  const words = (message ?? '').replace(/[^\x20-\x7e]+/g, ' ').trim();
  return words === '' ? '' : `; the hub says: "${words.slice(0, MESSAGE_CHARS)}"`;
}
