import { API_KEY_CHARS, API_KEYS } from '../limits.js';
import { type Command, type OptionTable, option } from './option.js';
import * as types from './option-types.js';

const COORDINATOR = ['up', 'coordinator'] as const satisfies readonly Command[];

/** The options that say who may use the HTTP API. */
export const ACCESS_OPTIONS = {
  apiKeys: option({
    flag: null,
    variable: 'SHOAL_API_KEYS',
    placeholder: 'KEY,...',
    type: types.list(`1 to ${API_KEYS} keys separated by commas`, API_KEYS),
    default: null,
    defaultNote: 'none: every client that can reach the port has access',
    commands: COORDINATOR,
    help: `API keys of at least ${API_KEY_CHARS} characters. A client must send one of them as bearer token. A single key may also operate the fleet; several keys are for users.`,
    secret: true,
  }),
  apiKeysFile: option({
    flag: 'api-keys-file',
    variable: 'SHOAL_API_KEYS_FILE',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: COORDINATOR,
    help: 'File with the API keys, one per line, instead of SHOAL_API_KEYS.',
  }),
  keysFile: option({
    flag: 'keys-file',
    variable: 'SHOAL_KEYS_FILE',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: COORDINATOR,
    help: 'YAML or JSON file of keys with tenants, roles, models and limits (docs/TENANTS.md). A change is read without a restart.',
  }),
  jwtIssuer: option({
    flag: 'jwt-issuer',
    variable: 'SHOAL_JWT_ISSUER',
    placeholder: 'ISSUER',
    type: types.text('1 to 1024 characters', 1, 1024),
    default: null,
    commands: COORDINATOR,
    help: 'Accepts JSON Web Tokens of this issuer as bearer tokens.',
  }),
  jwtAudience: option({
    flag: 'jwt-audience',
    variable: 'SHOAL_JWT_AUDIENCE',
    placeholder: 'AUDIENCE',
    type: types.text('1 to 1024 characters', 1, 1024),
    default: null,
    commands: COORDINATOR,
    help: 'Audience that a token must be for. Required with --jwt-issuer.',
  }),
  jwtJwks: option({
    flag: 'jwt-jwks',
    variable: 'SHOAL_JWT_JWKS',
    placeholder: 'URL|FILE',
    type: types.text('a URL or a path', 1, 4096),
    default: null,
    commands: COORDINATOR,
    help: "The issuer's public keys as a JSON Web Key Set, for tokens signed with RS256, PS256, ES256, EdDSA or their longer variants.",
  }),
  jwtSecretFile: option({
    flag: 'jwt-secret-file',
    variable: 'SHOAL_JWT_SECRET_FILE',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: COORDINATOR,
    help: 'File with the secret of at least 32 bytes for tokens signed with HS256, instead of --jwt-jwks.',
  }),
  jwtClockTolerance: option({
    flag: 'jwt-clock-tolerance',
    variable: 'SHOAL_JWT_CLOCK_TOLERANCE',
    placeholder: 'TIME',
    type: types.duration(0, 600_000, '0s to 10m'),
    default: '30s',
    commands: COORDINATOR,
    help: "How far the issuer's clock may differ from this machine's.",
  }),
} as const satisfies OptionTable;
