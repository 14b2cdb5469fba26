import { z } from 'zod';
import { faultWords } from '../fault-words.js';

/** The rights that a key or a token grants. The same fields appear in a keys file and in a token's claim `shoal`. */

/** Keys and tokens of different roles may use different routes. */
const ROLES = ['user', 'operator', 'metrics'] as const;
export type Role = (typeof ROLES)[number];

/** The callers that share cached prefixes: those of one tenant, of one key, or all with the scope `public`. */
const SALT_SCOPES = ['tenant', 'key', 'public'] as const;
type SaltScope = (typeof SALT_SCOPES)[number];

/** Highest priority: a tenant gets computing time in proportion to its priority. */
const HIGHEST_PRIORITY = 100;
/** Models that one key may name. */
const MODELS = 256;
const TOKENS = 2 ** 40;
/** Layers that one key may name. */
const LAYERS_OF_A_KEY = 32;
const LAYER_NAME = /^(?:public|org:[A-Za-z0-9][A-Za-z0-9._@-]{0,63})$/;

/** A name of a tenant or of a key. It may stand in logs, and contains none of the separators of a salt. */
export const PlainId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/, 'must be 1 to 64 letters, digits, ".", "_", "@" or "-"');

/** 64 hexadecimal digits name the tenant of a key of SHOAL_API_KEYS. */
const TenantName = PlainId.refine((name) => !/^[0-9a-f]{64}$/.test(name), 'must not be a SHA-256 digest');

const atLeastOne = (max: number) => z.int(`must be a whole number from 1 to ${max}`).min(1).max(max).optional();

const limitFields = {
  requests_per_minute: atLeastOne(1_000_000),
  /** Requests that may come at once after a pause. */
  burst: atLeastOne(1_000_000),
  tokens_per_minute: atLeastOne(TOKENS),
  concurrent: atLeastOne(100_000),
  tokens_per_day: atLeastOne(TOKENS),
};
/** Names of the fields of `limits`. */
export const LIMIT_FIELDS: readonly string[] = Object.keys(limitFields);

const Limits = z
  .strictObject(limitFields)
  .refine(({ burst, requests_per_minute }) => burst === undefined || requests_per_minute !== undefined, {
    path: ['burst'],
    message: 'is only allowed with requests_per_minute',
  });

/** A layer of published prefixes. */
export const LayerName = z.string().regex(LAYER_NAME, 'must be "public", or "org:" and a name');
const LayerNames = z.array(LayerName).min(1).max(LAYERS_OF_A_KEY);

/** The fields of a grant. `grantsOf` adds the defaults of absent fields. */
export const GRANT_FIELDS = {
  tenant: TenantName,
  role: z.enum(ROLES).optional(),
  models: z.array(z.string().min(1).max(256)).min(1).max(MODELS).optional(),
  limits: Limits.optional(),
  priority: atLeastOne(HIGHEST_PRIORITY),
  salt_scope: z.enum(SALT_SCOPES).optional(),
  shares: LayerNames.optional(),
  publishes: LayerNames.optional(),
};

const GrantFields = z.strictObject(GRANT_FIELDS);
type GrantFields = z.infer<typeof GrantFields>;

/** Limits on the use of one key or subject. Null is no limit. */
export interface UseLimits {
  readonly requestsPerMinute: number | null;
  /** Requests that may come at once after a pause. */
  readonly burstRequests: number;
  readonly tokensPerMinute: number | null;
  readonly concurrentRequests: number | null;
  /** In one day of UTC. */
  readonly tokensPerDay: number | null;
}

export const NO_LIMITS: UseLimits = {
  requestsPerMinute: null,
  burstRequests: 1,
  tokensPerMinute: null,
  concurrentRequests: null,
  tokensPerDay: null,
};

export interface Grants {
  readonly tenant: string;
  readonly role: Role;
  /** Null: every model. */
  readonly models: readonly string[] | null;
  readonly limits: UseLimits;
  readonly priority: number;
  readonly saltScope: SaltScope;
  /** Layers whose published prefixes its prompts share. */
  readonly shares: readonly string[];
  /** Layers into which it may publish prefixes, with any role. */
  readonly publishes: readonly string[];
}

/** Checked fields with the defaults filled in. Without `burst`, the requests of ten seconds may come at once. */
export function grantsOf(fields: GrantFields): Grants {
  const { requests_per_minute: requestsPerMinute, burst, ...limits } = fields.limits ?? {};
  return {
    tenant: fields.tenant,
    role: fields.role ?? 'user',
    models: fields.models ?? null,
    limits: {
      requestsPerMinute: requestsPerMinute ?? null,
      burstRequests: burst ?? Math.max(1, Math.ceil((requestsPerMinute ?? 1) / 6)),
      tokensPerMinute: limits.tokens_per_minute ?? null,
      concurrentRequests: limits.concurrent ?? null,
      tokensPerDay: limits.tokens_per_day ?? null,
    },
    priority: fields.priority ?? 1,
    saltScope: fields.salt_scope ?? 'tenant',
    shares: fields.shares ?? [],
    publishes: fields.publishes ?? [],
  };
}

/** Reads the claim `shoal` of a token. Returns the fault as text if it has one. */
export function readGrants(claim: unknown): Grants | string {
  const result = GrantFields.safeParse(claim);
  if (result.success) return grantsOf(result.data);
  const issue = result.error.issues[0]!;
  const words = faultWords(issue);
  return issue.path.length === 0 ? words : `${issue.path.join('.')}: ${words}`;
}
