import type { Behavior } from '../../src/actors/protocol.js';
import { Unavailable } from '../../src/errors.js';
import { keySpace } from '../../src/objects/object-name.js';
import type { AccessProtocol } from '../../src/protocol/access.js';
import {
  OPEN_SPACE,
  type RespAccess,
  type RespPrincipal,
  type RespUse,
  type RespVerdict,
} from '../../src/resp/resp-access.js';
import type { Access } from '../access/access.js';
import type { Principal } from '../access/principal.js';
import { ApiError } from '../openai/api-error.js';
import type { Quotas } from '../quota/quotas.js';
import type { Trail } from '../trail/trail.js';

/** Keys and tokens of the HTTP API, for clients that send them as the password of the Redis protocol, to this process or to a worker. */

/** The space of a principal's objects: its tenant's, or its own where its scope is the key. The scope `public` shares prefixes and no objects. */
export function spaceOf(principal: Principal | null): string {
  return principal === null ? OPEN_SPACE : keySpace(principal.ownPrefix);
}

/** The rest of a coordinator, as far as clients of the Redis protocol concern it. */
export interface KeyAccessPorts {
  readonly access: Access;
  readonly quotas: Pick<Quotas, 'begin'>;
  readonly trail: Trail;
}

export class KeyAccess implements RespAccess {
  constructor(private readonly ports: KeyAccessPorts) {}

  anonymous(): RespPrincipal | null {
    return this.ports.access.open ? { space: OPEN_SPACE, name: 'default' } : null;
  }

  pending(): null {
    return null;
  }

  /** The user is not looked at: a key is enough. A wrong one has an entry in the audit log. */
  async authenticate(_user: string, password: string): Promise<RespPrincipal | null> {
    if (this.ports.access.open) return null;
    const { principal, refused } = await this.find(password);
    if (refused !== null) this.note({ principal, route: 'AUTH', address: null, failure: refused });
    return principal === null || refused !== null ? null : { space: spaceOf(principal), name: principal.id };
  }

  async use({ credentials, command, address }: RespUse): Promise<RespVerdict> {
    const { principal, refused } = credentials === null ? NOBODY : await this.find(credentials.password);
    let failure = refused;
    let limited = false;
    try {
      const use = failure === null ? this.ports.quotas.begin(principal) : null;
      limited = use !== null;
      use?.end();
    } catch (error) {
      failure = ApiError.from(error);
    }
    const route = command.toUpperCase();
    if (failure !== null || AUDITED.has(route)) {
      this.note({ principal, route, address: address.replace(/:\d+$/, ''), failure });
    }
    return { refused: failure?.message ?? null, limited: limited || failure !== null };
  }

  private async find(password: string): Promise<Found> {
    if (!/^\S+$/.test(password)) return { principal: null, refused: new ApiError(401, 'unknown API key') };
    let principal: Principal | null = null;
    try {
      await this.ports.access.admit('key', `Bearer ${password}`, (found) => {
        principal = found;
      });
      return { principal, refused: null };
    } catch (error) {
      if (error instanceof Unavailable) throw error;
      return { principal, refused: ApiError.from(error) };
    }
  }

  private note({ principal, route, address, failure }: Noted): void {
    this.ports.trail.write({
      ...{ event: 'request', request_id: '', method: 'REDIS', route, target: null, address },
      ...{ tenant: principal?.tenant ?? null, key: principal?.id ?? null, role: principal?.role ?? null },
      ...{ decision: failure === null ? 'allowed' : 'refused', status: failure?.status ?? 200 },
      ...{ code: failure?.code ?? null, tokens: null, duration_ms: 0 },
    });
  }
}

/** Whose a password is, and why it is refused: a known one may lack the right. */
interface Found {
  readonly principal: Principal | null;
  readonly refused: ApiError | null;
}

interface Noted {
  readonly principal: Principal | null;
  readonly route: string;
  readonly address: string | null;
  readonly failure: ApiError | null;
}

const NOBODY: Found = { principal: null, refused: null };
/** Commands that have an entry although they are allowed. */
const AUDITED = new Set(['FLUSHDB']);

/** Answers workers. */
export function accessBehavior(access: RespAccess): Behavior<typeof AccessProtocol> {
  return {
    openness: () => ({ open: access.anonymous() !== null }),
    authenticate: async ({ user, password }) => ({ principal: await access.authenticate(user, password) }),
    use: (use) => access.use(use),
  };
}
