import { readGrants } from '../../src/config/grants.js';
import type { JwtConfig } from '../../src/config/jwt-config.js';
import { ApiError } from '../openai/api-error.js';
import type { TokenVerifier } from './access.js';
import { type VerifiedToken, type VerifyingKeys, verifyToken } from './json-web-token.js';
import type { KeySetSource } from './key-set-source.js';
import { type Principal, subjectPrincipal } from './principal.js';

/** The claim with a token's tenant, role, models, limits, priority and salt scope: the fields of an entry of a keys file. */
const GRANTS_CLAIM = 'shoal';

/** Accepts the tokens of one issuer. */
export class TokenAccess implements TokenVerifier {
  /**
   * @param keys null for the shared secret of the configuration
   * @param wallMs the time of day, which issuers write into tokens
   */
  constructor(
    private readonly config: JwtConfig,
    private readonly keys: KeySetSource | null,
    private readonly wallMs: () => number,
  ) {}

  async verify(token: string): Promise<Principal> {
    const result = await this.check(token);
    if (result.kind === 'no key') throw invalidToken('its signing key is not in the key set');
    if (result.kind === 'invalid') throw invalidToken(result.reason);
    const { sub, [GRANTS_CLAIM]: claim } = result.claims;
    const grants = readGrants(claim);
    if (typeof grants !== 'string') return subjectPrincipal(sub, grants);
    throw new ApiError(403, `authorization: the claim '${GRANTS_CLAIM}' of the token is missing or wrong: ${grants}`, {
      code: 'invalid_claims',
    });
  }

  private async check(token: string): Promise<VerifiedToken> {
    if (this.keys === null) return await this.checkWith(token, this.secret);
    const first = await this.checkWith(token, { kind: 'jwks', keys: await this.keys.current() });
    if (first.kind !== 'no key') return first;
    // The issuer may sign with a new key.
    const renewed = await this.keys.renewed();
    return renewed === null ? first : await this.checkWith(token, { kind: 'jwks', keys: renewed });
  }

  private checkWith(token: string, keys: VerifyingKeys): Promise<VerifiedToken> {
    const { issuer, audience, clockToleranceMs } = this.config;
    return verifyToken(token, keys, { issuer, audience, clockToleranceMs, nowMs: this.wallMs() });
  }

  private get secret(): VerifyingKeys {
    const { keys } = this.config;
    const base64 = keys.kind === 'secret' ? keys.secretBase64 : '';
    return { kind: 'secret', secret: new Uint8Array(Buffer.from(base64, 'base64')) };
  }
}

function invalidToken(reason: string): ApiError {
  return new ApiError(401, `authorization: cannot accept the token: ${reason}`, { code: 'invalid_token' });
}
