import { createHash, timingSafeEqual } from 'node:crypto';
import type { KeyEntry } from '../../src/config/keys-file.js';
import { anonymousPrincipal, keyPrincipal, type Principal } from './principal.js';

/** A key that is accepted. The secret itself is not kept. */
interface KnownKey {
  /** SHA-256 of the secret. */
  readonly digest: Buffer;
  readonly principal: Principal;
}

/** The keys that are accepted, and the principals that they name. */
export class KeyRing {
  private constructor(private readonly keys: readonly KnownKey[]) {}

  /** The keys of a keys file. */
  static ofEntries(entries: readonly KeyEntry[]): KeyRing {
    const known = entries.map(({ id, secretSha256, ...grants }) => ({
      digest: Buffer.from(secretSha256, 'hex'),
      principal: keyPrincipal(id, grants),
    }));
    return new KeyRing(known);
  }

  /** Keys without id and tenant, all of one role. Each forms its own tenant. */
  static ofSecrets(secrets: readonly string[], role: Principal['role']): KeyRing {
    const known = secrets.map((secret) => ({
      digest: digestOf(secret),
      principal: anonymousPrincipal(tenantDigest(secret), role),
    }));
    return new KeyRing(known);
  }

  /**
   * The principal of a key; null if the key is unknown. Compares with every key of every ring, by digest and in constant time, so that the time taken
   * reveals nothing about the keys.
   */
  static find(rings: readonly KeyRing[], secret: string): Principal | null {
    const given = digestOf(secret);
    let found: Principal | null = null;
    for (const ring of rings) found = ring.match(given) ?? found;
    return found;
  }

  private match(given: Buffer): Principal | null {
    let found: Principal | null = null;
    for (const { digest, principal } of this.keys) if (timingSafeEqual(digest, given)) found = principal;
    return found;
  }
}

function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** Names the tenant of a key that has no name. Blocks on disk were computed under it, so it must not change. */
function tenantDigest(secret: string): string {
  return createHash('sha256').update('shoal api key\0').update(secret).digest('hex');
}
