import { ApiError } from '../openai/api-error.js';
import { KeyRing } from './key-ring.js';
import type { Principal } from './principal.js';
import { checkRole, type RouteAccess } from './roles.js';

/** Longest bearer token that is looked at. */
const BEARER_CHARS = 8_192;

/** Checks tokens of an identity provider. */
export interface TokenVerifier {
  /** The principal of a token. Throws a 401 for a token that is not valid, and `Unavailable` if no key to check it with can be had. */
  verify(token: string): Promise<Principal>;
}

/** The parts that know keys and tokens. */
export interface AccessSources {
  /** The keys that are accepted now. */
  rings(): readonly KeyRing[];
  /** Null: no tokens are accepted. */
  readonly tokens: TokenVerifier | null;
}

/** Decides which callers may use a route. */
export class Access {
  /** @param sources null for an API that is open to everyone */
  constructor(private readonly sources: AccessSources | null) {}

  /** Whether the API is open to everyone. */
  get open(): boolean {
    return this.sources === null;
  }

  /**
   * Finds the principal of a request by its `authorization` header, unless the route or the whole API needs no key. Throws a 401 for a missing or
   * unknown key, and a 403 for a known one whose role may not use the route.
   * @param known called with the principal, even if it is refused
   */
  async admit(access: RouteAccess, authorization: string | null, known: (principal: Principal) => void): Promise<void> {
    const { sources } = this;
    if (sources === null || access === 'open') return;
    const principal = await find(sources, bearerOf(authorization));
    known(principal);
    checkRole(principal, access);
  }
}

async function find({ rings, tokens }: AccessSources, bearer: string): Promise<Principal> {
  const principal = KeyRing.find(rings(), bearer);
  if (principal !== null) return principal;
  if (tokens !== null && JWT_FORM.test(bearer)) return await tokens.verify(bearer);
  throw unauthorized('has an unknown API key');
}

/** Three parts in base64url; the first is a JSON object. */
const JWT_FORM = /^eyJ[\w-]*\.[\w-]+\.[\w-]*$/;

function bearerOf(authorization: string | null): string {
  const bearer = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  if (bearer === undefined) throw unauthorized('is missing or not a bearer token');
  if (bearer.length > BEARER_CHARS) throw unauthorized(`has a token of more than ${BEARER_CHARS} characters`);
  return bearer;
}

function unauthorized(problem: string): ApiError {
  return new ApiError(401, `authorization: ${problem}; send "authorization: Bearer KEY" with a valid API key`, {
    code: 'invalid_api_key',
  });
}
