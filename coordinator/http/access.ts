import { createHash, timingSafeEqual } from 'node:crypto';
import { ApiError } from '../openai/api-error.js';

/** API keys: who may call the API, and which tenant each key names. */
export class Access {
  private readonly digests: readonly Buffer[];

  /** With no keys, the API is open to everyone. */
  constructor(apiKeys: readonly string[]) {
    this.digests = apiKeys.map(digest);
  }

  /**
   * The tenant of an `authorization` header: a digest of its key, or null if no keys are configured. Throws a 401 for a missing or unknown
   * key. Compares against every key, by digest and in constant time, so that timing reveals nothing about the keys.
   */
  tenantOf(authorization: string | null): string | null {
    if (this.digests.length === 0) return null;
    const key = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    const given = digest(key ?? '');
    const matches = this.digests.filter((known) => timingSafeEqual(known, given));
    if (key !== undefined && matches.length > 0) return given.toString('hex');
    const problem = key === undefined ? 'is missing or not a bearer token' : 'has an unknown API key';
    throw new ApiError(401, `authorization: ${problem}; send "authorization: Bearer KEY" with a valid API key`, {
      code: 'invalid_api_key',
    });
  }
}

/**
 * The salt of a prompt's block keys; null for none. A cache hit shows in the time to first token, so tenants that share a salt can probe
 * for each other's prefixes. With API keys in use, the salt therefore always includes the tenant, whatever `cache_salt` a request sends.
 */
export function saltOf(tenant: string | null, cacheSalt: string | undefined): string | null {
  if (tenant === null) return cacheSalt ?? null;
  return `${tenant}:${cacheSalt ?? ''}`;
}

function digest(key: string): Buffer {
  return createHash('sha256').update('shoal api key\0').update(key).digest();
}
