import { createHash, timingSafeEqual } from 'node:crypto';
import { ApiError } from '../openai/api-error.js';

/** Who may ask, and whose prefixes are whose. */
export class Access {
  private readonly digests: readonly Buffer[];

  /** Without keys, everybody may ask. */
  constructor(apiKeys: readonly string[]) {
    this.digests = apiKeys.map(digest);
  }

  /**
   * The tenant that an `authorization` header speaks for, null where no key is asked for. Throws a 401 without a good one. All keys are
   * compared, by digest and in constant time, so that the time taken tells nothing of them.
   */
  tenantOf(authorization: string | null): string | null {
    if (this.digests.length === 0) return null;
    const key = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    const given = digest(key ?? '');
    const matches = this.digests.filter((known) => timingSafeEqual(known, given));
    if (key !== undefined && matches.length > 0) return given.toString('hex');
    throw new ApiError(
      401,
      'This fleet asks for an API key: send the header "authorization: Bearer KEY" with a good one.',
      {
        code: 'invalid_api_key',
      },
    );
  }
}

/**
 * The salt under which a prompt's blocks are kept. A cache hit shows in the time to the first token, so a tenant could try out whether
 * another has sent a prefix. Where keys are in use, the salt is therefore bound to the key, whatever `cache_salt` a request names.
 */
export function saltOf(tenant: string | null, cacheSalt: string | undefined): string | null {
  if (tenant === null) return cacheSalt ?? null;
  return `${tenant}:${cacheSalt ?? ''}`;
}

function digest(key: string): Buffer {
  return createHash('sha256').update('shoal api key\0').update(key).digest();
}
