import { createHash } from 'node:crypto';
import { type Grants, NO_LIMITS, type UseLimits } from '../../src/config/grants.js';
import type { Tenant } from '../../src/core/fair-shares.js';

/** The holder of a key or a token: its identity and its rights. */
export interface Principal {
  /** Names the key, or the subject of a token, within its tenant. Safe to log. */
  readonly id: string;
  /** Names the holder among all keys and subjects of all tenants: a key and a subject of the same name are two. */
  readonly holder: string;
  /** Owns pins, and shares computing time with other tenants. */
  readonly tenant: string;
  readonly role: Grants['role'];
  /** Null: every model. */
  readonly models: readonly string[] | null;
  readonly limits: UseLimits;
  readonly priority: number;
  /** Begins the salt of each of its prompts. No two scopes have salts in common. */
  readonly saltPrefix: string;
  /** As `saltPrefix`, for values, stored responses and answers for retries, which no scope shares with other tenants. */
  readonly ownPrefix: string;
  /** Layers whose published prefixes its prompts share. */
  readonly shares: readonly string[];
  /** Layers into which it may publish, in addition to its role's. */
  readonly publishes: readonly string[];
}

/** The principal of a key with an id. */
export function keyPrincipal(id: string, grants: Grants): Principal {
  return principalOf(id, id, `${grants.tenant}/${id}`, grants);
}

/** The principal of a token's subject, which may be any text. */
export function subjectPrincipal(subject: string, grants: Grants): Principal {
  const id = SAFE_ID.test(subject) ? subject : `subject-${digest(subject).slice(0, 16)}`;
  // No id of a key has a colon.
  return principalOf(id, `sub:${subject}`, `${grants.tenant}/sub:${digest(subject)}`, grants);
}

/**
 * The principal of a key that has no id and no tenant: it forms its own tenant, named by the key's digest.
 * @param digestHex a digest of the key
 */
export function anonymousPrincipal(digestHex: string, role: Grants['role']): Principal {
  const id = digestHex.slice(0, 12);
  const grants = { role, models: null, limits: NO_LIMITS, priority: 1, shares: [], publishes: [] };
  return { id, holder: digestHex, tenant: digestHex, ...grants, saltPrefix: digestHex, ownPrefix: digestHex };
}

/** The tenant in whose share of computing time a caller's requests run; null if no key is needed. */
export function tenantOf(principal: Principal | null): Tenant | null {
  return principal === null ? null : { name: principal.tenant, weight: principal.priority };
}

const SAFE_ID = /^[\w.@|:-]{1,128}$/;

function principalOf(id: string, unique: string, holder: string, grants: Grants): Principal {
  const { tenant, saltScope, ...rest } = grants;
  const owner = saltOwner(tenant);
  const ownPrefix = saltScope === 'key' ? `${owner}:key/${digest(`${tenant}\0${unique}`)}` : `${owner}:all`;
  const saltPrefix = saltScope === 'public' ? PUBLIC_SCOPE : ownPrefix;
  return { id, holder, tenant, ...rest, saltPrefix, ownPrefix };
}

/** The salts of callers with the scope `public` have this prefix. No tenant owns their blocks. */
export const PUBLIC_SCOPE = 'public/';

/** The owner of all salts of a tenant, by which its blocks are found. */
export function saltOwner(tenant: string): string {
  return SHA256.test(tenant) ? tenant : `tenant/${tenant}`;
}

const SHA256 = /^[0-9a-f]{64}$/;

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/**
 * The salt of a prompt's block keys; null for none. A cache hit shows in the time to first token, so callers that share a salt can probe for each
 * other's prefixes. Where keys are in use, the salt therefore always begins with the caller's scope, with any `cache_salt`.
 */
export function saltOf(principal: Principal | null, cacheSalt: string | undefined): string | null {
  if (principal === null) return cacheSalt ?? null;
  return `${principal.saltPrefix}:${cacheSalt ?? ''}`;
}

/** The salt of what is kept for a caller beside blocks; empty for none. It is that of its blocks, unless its scope is `public`. */
export function ownSaltOf(principal: Principal | null, cacheSalt: string | undefined): string {
  return principal === null ? (cacheSalt ?? '') : `${principal.ownPrefix}:${cacheSalt ?? ''}`;
}
