import type { IncomingHttpHeaders } from 'node:http';
import { ApiError } from '../openai/api-error.js';

/** Throws a 415 for a body that is not JSON as it is. */
export function checkMediaType(headers: IncomingHttpHeaders): void {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    throw new ApiError(415, 'The body must not be compressed: leave the header "content-encoding" out.', {
      code: 'unsupported_media_type',
    });
  }
  if (JSON_TYPE.test(headers['content-type'] ?? '')) return;
  throw new ApiError(415, 'The body must be JSON: send the header "content-type: application/json".', {
    code: 'unsupported_media_type',
  });
}

const JSON_TYPE = /^application\/json\s*(;|$)/i;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** A body as JSON; undefined for an empty one. Throws a 400 that says nothing of what the body holds. */
export function parseJsonBody(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) return undefined;
  const text = decode(bytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const position = /position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1];
    const where = position === undefined ? '' : ` (at character ${position})`;
    throw new ApiError(400, `The body is not valid JSON${where}.`, { code: 'invalid_json' });
  }
  // A key may be written with escapes, so only a text with neither can be trusted unseen.
  if ((text.includes('__proto__') || text.includes('\\u')) && hasProtoKey(value)) {
    throw new ApiError(400, 'The body has a key "__proto__", which is refused.', {
      param: '__proto__',
      code: 'invalid_json',
    });
  }
  return value;
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new ApiError(400, 'The body is not valid UTF-8.', { code: 'invalid_utf8' });
  }
}

/** By a list of what is left to see, for a body may nest deeper than the stack goes. */
function hasProtoKey(root: unknown): boolean {
  const left: unknown[] = [root];
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value !== 'object' || value === null) continue;
    if (!Array.isArray(value) && Object.hasOwn(value, '__proto__')) return true;
    for (const inner of Object.values(value)) left.push(inner);
  }
  return false;
}
