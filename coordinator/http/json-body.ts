import type { IncomingHttpHeaders } from 'node:http';
import { ApiError } from '../openai/api-error.js';

/** Parses request bodies as JSON, strictly. */

/** Throws a 415 unless the headers declare uncompressed JSON. */
export function checkMediaType(headers: IncomingHttpHeaders): void {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    throw new ApiError(415, 'content-encoding: compressed bodies are not supported; send the body uncompressed', {
      code: 'unsupported_media_type',
    });
  }
  if (JSON_TYPE.test(headers['content-type'] ?? '')) return;
  throw new ApiError(
    415,
    'content-type: must be application/json in every POST, even without a body; add the header "content-type: application/json"',
    { code: 'unsupported_media_type' },
  );
}

const JSON_TYPE = /^application\/json\s*(;|$)/i;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** A body that `JsonShape` has looked through, as JSON; undefined if it is empty. Throws a 400 that repeats nothing of the body: it may hold private text. */
export function parseJsonBody(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) return undefined;
  const text = decode(bytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const position = /position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1];
    const where = position === undefined ? '' : ` (at character ${position})`;
    throw new ApiError(400, `body: is not valid JSON${where}`, { code: 'invalid_json' });
  }
  return value;
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new ApiError(400, 'body: is not valid UTF-8', { code: 'invalid_utf8' });
  }
}
