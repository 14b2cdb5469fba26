import { createLocalJWKSet, type JSONWebKeySet, type JWTPayload, errors as joseErrors, jwtVerify } from 'jose';
import { isWellFormed } from '../../src/well-formed.js';

/** Verifies JSON Web Tokens (RFC 7519). The only file that imports jose. */

/**
 * Algorithms for public keys. None of them takes a public key as a shared secret, and `none` is not among them, so a token cannot choose how it is
 * checked beyond this list.
 */
const PUBLIC_KEY_ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];
const SECRET_ALGORITHMS = ['HS256'];

/** The keys with which one token is checked. */
export type VerifyingKeys =
  | { readonly kind: 'jwks'; readonly keys: KeySet }
  | { readonly kind: 'secret'; readonly secret: Uint8Array };

/** A JSON Web Key Set. */
export type KeySet = ReturnType<typeof createLocalJWKSet>;

export interface TokenDemands {
  readonly issuer: string;
  readonly audience: string;
  readonly clockToleranceMs: number;
  /** Wall time. */
  readonly nowMs: number;
}

export type VerifiedToken =
  | { readonly kind: 'valid'; readonly claims: JWTPayload & { readonly sub: string } }
  /** The set has no key for the token, or several: a newer set may have one. */
  | { readonly kind: 'no key' }
  | { readonly kind: 'invalid'; readonly reason: string };

/** Reads a key set (RFC 7517). @throws an error that says why it is none */
export function keySetOf(value: unknown): KeySet {
  return createLocalJWKSet(value as JSONWebKeySet);
}

/** Checks signature, algorithm, issuer, audience and times. A token without `exp` or `sub` is invalid. */
export async function verifyToken(token: string, keys: VerifyingKeys, demands: TokenDemands): Promise<VerifiedToken> {
  const { issuer, audience, clockToleranceMs, nowMs } = demands;
  const options = {
    issuer,
    audience,
    clockTolerance: clockToleranceMs / 1_000,
    currentDate: new Date(nowMs),
    requiredClaims: ['exp', 'sub'],
    algorithms: keys.kind === 'jwks' ? PUBLIC_KEY_ALGORITHMS : SECRET_ALGORITHMS,
  };
  try {
    const { payload } =
      keys.kind === 'jwks' ? await jwtVerify(token, keys.keys, options) : await jwtVerify(token, keys.secret, options);
    const { sub } = payload;
    if (typeof sub !== 'string' || sub === '') return { kind: 'invalid', reason: 'its subject (sub) is empty' };
    if (!isWellFormed(sub)) return { kind: 'invalid', reason: 'its subject (sub) is not well-formed Unicode' };
    return { kind: 'valid', claims: { ...payload, sub } };
  } catch (error) {
    return faultOf(error);
  }
}

function faultOf(error: unknown): VerifiedToken {
  if (error instanceof joseErrors.JWKSNoMatchingKey || error instanceof joseErrors.JWKSMultipleMatchingKeys) {
    return { kind: 'no key' };
  }
  if (error instanceof joseErrors.JWTExpired) return { kind: 'invalid', reason: 'it has expired' };
  if (error instanceof joseErrors.JWTClaimValidationFailed) {
    return { kind: 'invalid', reason: `its claim ${error.claim} is missing or not accepted` };
  }
  if (error instanceof joseErrors.JOSEAlgNotAllowed)
    return { kind: 'invalid', reason: 'its algorithm is not accepted' };
  if (error instanceof joseErrors.JWSSignatureVerificationFailed) {
    return { kind: 'invalid', reason: 'its signature is wrong' };
  }
  // All other errors are faults of the token: malformed parts, unsupported headers, keys that do not fit the algorithm.
  return { kind: 'invalid', reason: 'it is malformed' };
}
