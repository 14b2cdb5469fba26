import type { IncomingHttpHeaders } from 'node:http';

/** The `authorization` header of a request. Anthropic's clients send their key as `x-api-key` instead. */
export function authorizationOf({ authorization, 'x-api-key': key }: IncomingHttpHeaders): string | null {
  return authorization ?? (typeof key === 'string' ? `Bearer ${key}` : null);
}
