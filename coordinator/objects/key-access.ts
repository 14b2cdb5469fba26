import type { Behavior } from '../../src/actors/protocol.js';
import { Unavailable } from '../../src/errors.js';
import type { AccessProtocol } from '../../src/protocol/access.js';
import { OPEN_SPACE, type RespAccess, type RespPrincipal } from '../../src/resp/resp-access.js';
import type { Access } from '../access/access.js';
import type { Principal } from '../access/principal.js';

/** Keys and tokens of the HTTP API, for clients that send them as the password of the Redis protocol, to this process or to a worker. */

/** The space of a principal's objects: that of the salts of its prompts, so that a key's scope holds for both. */
export function spaceOf(principal: Principal | null): string {
  return principal === null ? OPEN_SPACE : `key/${principal.saltPrefix}`;
}

export class KeyAccess implements RespAccess {
  constructor(private readonly access: Access) {}

  anonymous(): RespPrincipal | null {
    return this.access.open ? { space: OPEN_SPACE, name: 'default' } : null;
  }

  pending(): null {
    return null;
  }

  /** The user is not looked at: a key is enough. */
  async authenticate(_user: string, password: string): Promise<RespPrincipal | null> {
    if (this.access.open || !/^\S+$/.test(password)) return null;
    let found: Principal | null = null;
    try {
      await this.access.admit('key', `Bearer ${password}`, (principal) => {
        found = principal;
      });
    } catch (error) {
      if (error instanceof Unavailable) throw error;
      return null;
    }
    const principal = found as Principal | null;
    return principal === null ? null : { space: spaceOf(principal), name: principal.id };
  }
}

/** Answers workers. */
export function accessBehavior(access: RespAccess): Behavior<typeof AccessProtocol> {
  return {
    openness: () => ({ open: access.anonymous() !== null }),
    authenticate: async ({ user, password }) => ({ principal: await access.authenticate(user, password) }),
  };
}
