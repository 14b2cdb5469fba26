import { readFileSync } from 'node:fs';
import type { Values } from './options.js';
import { WrongUsage } from './wrong-usage.js';

/** How tokens of an identity provider are checked. */
export interface JwtConfig {
  /** The only accepted `iss`. */
  readonly issuer: string;
  /** Must be among the token's `aud`. */
  readonly audience: string;
  readonly clockToleranceMs: number;
  readonly keys: JwtKeys;
}

/** The keys that sign tokens. Each kind admits only its own algorithms. @internal exported for tests. */
export type JwtKeys =
  /** Public keys: RSA, elliptic curves and Ed25519. `source` is an http(s) URL or a path. */
  | { readonly kind: 'jwks'; readonly source: string }
  /** A shared secret: HS256. Never logged. */
  | { readonly kind: 'secret'; readonly secretBase64: string };

/** A shorter secret than the digest of HS256 weakens it (RFC 7518, 3.2). */
const SECRET_BYTES = 32;

/** @throws WrongUsage */
export function jwtConfig(
  values: Pick<Values, 'jwtIssuer' | 'jwtAudience' | 'jwtJwks' | 'jwtSecretFile' | 'jwtClockTolerance'>,
): JwtConfig | null {
  const { jwtIssuer: issuer, jwtAudience: audience, jwtJwks, jwtSecretFile, jwtClockTolerance } = values;
  const others = [audience, jwtJwks, jwtSecretFile].filter((value) => value !== null);
  if (issuer === null) {
    if (others.length === 0) return null;
    throw new WrongUsage('--jwt-issuer (SHOAL_JWT_ISSUER): must be set if another --jwt option is, got nothing');
  }
  if (audience === null) {
    throw new WrongUsage('--jwt-audience (SHOAL_JWT_AUDIENCE): must be set with --jwt-issuer, got nothing');
  }
  return { issuer, audience, clockToleranceMs: jwtClockTolerance, keys: keysOf(jwtJwks, jwtSecretFile) };
}

function keysOf(source: string | null, secretFile: string | null): JwtKeys {
  if ((source === null) === (secretFile === null)) {
    throw new WrongUsage(
      '--jwt-jwks (SHOAL_JWT_JWKS): exactly one of --jwt-jwks and --jwt-secret-file must be set with --jwt-issuer',
    );
  }
  return source === null ? { kind: 'secret', secretBase64: readSecret(secretFile!) } : { kind: 'jwks', source };
}

/** The bytes of the file in base64, without one line break at the end. */
function readSecret(path: string): string {
  const name = '--jwt-secret-file (SHOAL_JWT_SECRET_FILE)';
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new WrongUsage(`${name}: cannot read ${path}: ${error instanceof Error ? error.message : error}`);
  }
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? 2 : 1) : 0;
  const secret = bytes.subarray(0, bytes.length - end);
  if (secret.length >= SECRET_BYTES) return secret.toString('base64');
  throw new WrongUsage(`${name}: the secret must have at least ${SECRET_BYTES} bytes, got ${secret.length} in ${path}`);
}
