import { type Expiry, LATEST_EXPIRY_MS, type ObjectInfo, type WriteCondition } from '../../../src/objects/object.js';
import { type ObjectName, objectName } from '../../../src/objects/object-name.js';
import { ApiError } from '../../openai/api-error.js';
import type { Exchange } from '../route.js';

/** What the path, the query and the headers of a request say about an object. */

const PREFIX = '/v1/kv/';
const META_HEADER = 'x-shoal-meta-';
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

/** The condition in `If-Match` and `If-None-Match` of a change. */
export function conditionOf(exchange: Exchange): WriteCondition {
  const match = exchange.header('if-match');
  const none = exchange.header('if-none-match');
  if (none !== null && none.trim() !== '*') {
    throw new ApiError(400, 'if-none-match: must be * in a request that changes an object', { param: 'if-none-match' });
  }
  if (match !== null && none !== null)
    throw new ApiError(400, 'if-match: cannot be combined with if-none-match', { param: 'if-match' });
  if (none !== null) return { kind: 'absent' };
  if (match === null) return { kind: 'always' };
  return match.trim() === '*'
    ? { kind: 'present' }
    : { kind: 'digest', digest: match.trim().replace(/^"(.*)"$/, '$1') };
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
export function headersOf({ digest, contentType, fields, expiresAtMs }: ObjectInfo): Record<string, string> {
  return {
    etag: `"${digest}"`,
    'accept-ranges': 'bytes',
    'content-type': contentType ?? 'application/octet-stream',
    'content-disposition': 'attachment',
    'content-security-policy': "default-src 'none'; sandbox",
    'x-content-type-options': 'nosniff',
    ...(expiresAtMs === null ? {} : { 'x-shoal-expires-at': new Date(Math.min(expiresAtMs, 8.64e15)).toISOString() }),
    ...Object.fromEntries(Object.entries(fields).map(([name, value]) => [`${META_HEADER}${name}`, value])),
  };
}

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
