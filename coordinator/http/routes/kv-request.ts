import { type Expiry, LATEST_EXPIRY_MS, type ObjectInfo, type WriteCondition } from '../../../src/objects/object.js';
import { type ObjectName, objectName } from '../../../src/objects/object-name.js';
import { HOST_HEADER } from '../../../src/objects/shared-object.js';
import { ApiError } from '../../openai/api-error.js';
import type { Exchange } from '../route.js';

/** The object named by the path, the query and the headers of a request. */

const PREFIX = '/v1/kv/';
const META_HEADER = 'x-shoal-meta-';
const HOST_CHARS = 256;
const TTL_HEADER = 'x-shoal-ttl';

export function queryOf(target: string): URLSearchParams {
  const at = target.indexOf('?');
  return new URLSearchParams(at === -1 ? '' : target.slice(at + 1));
}

/** The name in the path: percent-encoded, or, with `encoding=base64url`, in base64url, for keys that are not text. */
export function nameOf({ target }: Exchange, space: string): ObjectName {
  const path = target.split('?', 1)[0]!;
  const text = path.slice(PREFIX.length);
  const encoding = queryOf(target).get('encoding') ?? 'percent';
  if (encoding === 'base64url') return objectName(space, Buffer.from(text, 'base64url'));
  if (encoding !== 'percent') {
    throw new ApiError(400, `encoding: must be percent or base64url, got ${JSON.stringify(encoding)}`, {
      param: 'encoding',
    });
  }
  return objectName(space, percentDecoded(text));
}

function percentDecoded(text: string): Buffer {
  try {
    return Buffer.from(decodeURIComponent(text));
  } catch {
    throw new ApiError(400, 'key: must be percent-encoded UTF-8; use encoding=base64url for other bytes', {
      param: 'key',
    });
  }
}

/** The host of a client that asks for a place in shared memory; null for one that wants bytes, or a part of them, or none under some condition. */
export function sharingHostOf(exchange: Exchange): string | null {
  const host = exchange.method === 'GET' ? exchange.header(HOST_HEADER) : null;
  const bytes = ['range', 'if-match', 'if-none-match'].some((name) => exchange.header(name) !== null);
  return host === null || bytes || host.length > HOST_CHARS ? null : host;
}

/** When the object is to expire: a number of seconds in the header or in the query. */
export function expiryOfRequest(exchange: Exchange, nowMs: number): Expiry {
  const text = exchange.header(TTL_HEADER) ?? queryOf(exchange.target).get('ttl');
  if (text === null) return { kind: 'never' };
  const seconds = /^\d{1,12}(?:\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  const atMs = Math.floor(nowMs + seconds * 1_000);
  if (seconds <= 0 || atMs > LATEST_EXPIRY_MS) {
    throw new ApiError(400, `${TTL_HEADER}: must be a positive number of seconds, got ${JSON.stringify(text)}`, {
      param: 'ttl',
    });
  }
  return { kind: 'at', atMs };
}

/** The fields in headers that begin with `x-shoal-meta-`. */
export function fieldsOf(headers: Readonly<Record<string, unknown>>): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(META_HEADER) && typeof value === 'string') fields[name.slice(META_HEADER.length)] = value;
  }
  return fields;
}

/** The demand of `If-Match` and `If-None-Match` on an object before its change: a condition, or one of several ETags. */
export type WriteDemand = WriteCondition | { readonly kind: 'digests'; readonly digests: readonly string[] };

export function demandOf(exchange: Exchange): WriteDemand {
  const match = exchange.header('if-match');
  const none = exchange.header('if-none-match');
  if (none !== null && none.trim() !== '*') {
    throw new ApiError(400, 'if-none-match: must be * in a request that changes an object', { param: 'if-none-match' });
  }
  if (match !== null && none !== null)
    throw new ApiError(400, 'if-match: cannot be combined with if-none-match', { param: 'if-match' });
  if (none !== null) return { kind: 'absent' };
  if (match === null) return { kind: 'always' };
  if (match.trim() === '*') return { kind: 'present' };
  const digests = strongTags(match);
  return digests.length === 1 ? { kind: 'digest', digest: digests[0]! } : { kind: 'digests', digests };
}

/** Whether `If-Match` of a read holds. */
export function mayRead(exchange: Exchange, { digest }: ObjectInfo): boolean {
  const match = exchange.header('if-match');
  return match === null || match.trim() === '*' || strongTags(match).includes(digest);
}

/** The ETags of a list, without quotes. Weak ones are left out: they say nothing about bytes (RFC 9110, section 8.8.3.2). */
function strongTags(list: string): string[] {
  const tags = list.split(',').map((tag) => tag.trim());
  return tags.filter((tag) => tag !== '' && !tag.startsWith('W/')).map((tag) => tag.replace(/^"(.*)"$/, '$1'));
}

/** @throws ApiError for a body that is only a part of a value, or that is coded: values are kept and sent as they come */
export function checkBodyHeaders(exchange: Exchange): void {
  if (exchange.header('content-range') !== null) {
    throw new ApiError(400, 'content-range: cannot write a part of an object; send all of it', {
      param: 'content-range',
    });
  }
  const coding = exchange.header('content-encoding');
  if (coding === null || coding.trim().toLowerCase() === 'identity') return;
  throw new ApiError(415, `content-encoding: must be identity, got ${JSON.stringify(coding)}; send the bytes uncoded`, {
    param: 'content-encoding',
  });
}

/** Whether `If-None-Match` says that the client has the object. */
export function hasIt(exchange: Exchange, { digest }: ObjectInfo): boolean {
  const tags =
    exchange
      .header('if-none-match')
      ?.split(',')
      .map((tag) => tag.trim().replace(/^W\//, '')) ?? [];
  return tags.includes('*') || tags.includes(`"${digest}"`);
}

/** The headers that describe an object. It may have any content type, and no page may run it as one of the coordinator's own. */
export function headersOf(
  { digest, contentType, fields, expiresAtMs }: ObjectInfo,
  nowMs: number,
): Record<string, string> {
  return {
    etag: `"${digest}"`,
    // It may be replaced at any time: a cache may keep it, and asks by the ETag.
    'cache-control': 'private, no-cache',
    'accept-ranges': 'bytes',
    'content-type': contentType ?? 'application/octet-stream',
    'content-disposition': 'attachment',
    'content-security-policy': "default-src 'none'; sandbox",
    'x-content-type-options': 'nosniff',
    ...(expiresAtMs === null ? {} : timeHeaders(expiresAtMs, nowMs)),
    ...Object.fromEntries(Object.entries(fields).map(([name, value]) => [`${META_HEADER}${name}`, value])),
  };
}

/** When an object expires, and in how many seconds. */
function timeHeaders(expiresAtMs: number, nowMs: number): Record<string, string> {
  return {
    'x-shoal-expires-at': new Date(Math.min(expiresAtMs, LATEST_DATE_MS)).toISOString(),
    [TTL_HEADER]: (Math.max(1, expiresAtMs - nowMs) / 1_000).toFixed(3),
  };
}

/** The latest time that a `Date` can have. */
const LATEST_DATE_MS = 8.64e15;

/** The bytes that a `Range` header asks for: from the first to before the end. `whole` if there is no usable range. */
export function rangeOf(
  header: string | null,
  bytes: number,
): { from: number; end: number } | 'whole' | 'unsatisfiable' {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return 'whole';
  const [first, last] = [match[1]!, match[2]!];
  if (first === '') {
    const from = Math.max(0, bytes - Number(last));
    return from < bytes ? { from, end: bytes } : 'unsatisfiable';
  }
  const from = Number(first);
  const end = last === '' ? bytes : Math.min(bytes, Number(last) + 1);
  if (last !== '' && Number(last) < from) return 'whole';
  return from < bytes ? { from, end } : 'unsatisfiable';
}
