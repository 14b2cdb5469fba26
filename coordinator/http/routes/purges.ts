import { LOOP_TURNS } from '../../../src/async/loop-turns.js';
import type { BlockKey } from '../../../src/core/block.js';
import type { PurgeSelector, SaltGroup } from '../../../src/core/purge-selector.js';
import { layersOf, ownerDigest, ownerLabel, type Salt, saltDigest, saltLabel } from '../../../src/core/salt.js';
import { InvalidRequest } from '../../../src/errors.js';
import { HOLDINGS_KEYS_PER_MESSAGE } from '../../../src/protocol/holdings.js';
import { ownSaltOf, type Principal, PUBLIC_SCOPE, saltOf, saltOwner } from '../../access/principal.js';
import { mayOperate } from '../../access/roles.js';
import type { Layers } from '../../layers/layers.js';
import { layerSalt } from '../../layers/published-prefixes.js';
import { ApiError } from '../../openai/api-error.js';
import { checkBody } from '../../openai/parameters/check-body.js';
import type { PromptReader } from '../../openai/prompt.js';
import { PurgeRequest } from '../../openai/requests.js';
import { distinctBlocks, isComplete, type Purge } from '../../purge/purge.js';
import { type Purges, totalOf } from '../../purge/purges.js';
import { type Exchange, type HttpRoute, json } from '../route.js';
import { textCallerOf } from '../text-caller.js';

/** `POST /v1/cache/purge`: drops what is kept of a tenant, a salt or a prompt everywhere; `GET /v1/cache/purge/{id}`: the receipt. */

export interface PurgeDeps {
  readonly purges: Purges;
  readonly layers: Layers;
  readonly prompts: PromptReader;
  readonly keysOf: (tokens: Uint32Array, salt: Salt | null) => readonly BlockKey[];
}

export function purgeRoutes(deps: PurgeDeps): HttpRoute[] {
  const { purges } = deps;
  return [
    {
      method: 'POST',
      path: '/v1/cache/purge',
      about: {
        summary: 'Drops cached blocks everywhere, and what else is kept of a tenant or a salt.',
        body: PurgeRequest,
        // 202: some workers have not answered yet.
        answers: { 200: ['application/json'], 202: ['application/json'] },
      },
      access: 'key',
      handle: async (exchange) => {
        const { what, selector } = await chosen(exchange, deps);
        const purge = await purges.order(what, selector, exchange.principal?.tenant ?? null);
        return json(receipt(purge), isComplete(purge) ? 200 : 202);
      },
    },
    {
      method: 'GET',
      path: '/v1/cache/purge/:id',
      about: { summary: 'Says what a purge has dropped.' },
      access: 'key',
      handle: async ({ params, principal }) => {
        const id = params.id ?? '';
        const found = ID.test(id) ? await purges.get(id) : null;
        if (found !== null && (mayOperate(principal) || found.owner === principal?.tenant)) return json(receipt(found));
        throw new ApiError(404, `id: no purge '${id}'; it may have been forgotten after 30 days`, {
          param: 'id',
          code: 'purge_not_found',
        });
      },
    },
  ];
}

const ID = /^purge-[0-9a-f]{24}$/;

async function chosen(
  exchange: Exchange,
  { layers, prompts, keysOf }: PurgeDeps,
): Promise<{ what: Purge['what']; selector: PurgeSelector }> {
  const { body, principal } = exchange;
  const request = checkBody(PurgeRequest, body);
  const byPrompt = ['prompt', 'messages', 'tokens'].some((field) => request[field as 'prompt'] !== undefined);
  const ways = [request.tenant, request.cache_salt, request.share].filter((way) => way !== undefined).length;
  if (byPrompt ? request.tenant !== undefined || request.share !== undefined : ways !== 1) {
    throw new InvalidRequest(
      'body: must have one of tenant, cache_salt, share, or a prompt (which may have a cache_salt)',
    );
  }
  if (byPrompt) {
    checkScope(principal);
    const { tokens } = await prompts.readPrompt(request, request, textCallerOf(exchange));
    const salts = layers.saltsFor(tokens, principal, request.cache_salt);
    const answers = saltGroup(ownSaltOf(principal, request.cache_salt));
    return { what: 'prompt', selector: { ...(await ofPrompt(tokens, salts, keysOf)), answers } };
  }
  const { what, label, group } = named(request, principal);
  return { what, selector: { labels: [label], keys: new Set(), objects: group, answers: group } };
}

/** The caller's own blocks of a prompt. Blocks of a layer belong to its publisher. */
async function ofPrompt(
  tokens: Uint32Array,
  salts: readonly Salt[],
  keysOf: PurgeDeps['keysOf'],
): Promise<PurgeSelector> {
  const keys = new Set<BlockKey>();
  for (const salt of salts) {
    // The keys of a long prompt take milliseconds.
    await LOOP_TURNS.next();
    for (const key of keysOf(tokens, salt).slice(layersOf(salt).at(-1)?.blocks ?? 0)) keys.add(key);
  }
  if (keys.size > HOLDINGS_KEYS_PER_MESSAGE) {
    const why = 'is too long to be purged alone, with all published blocks of it; purge its cache_salt or tenant';
    throw new InvalidRequest(`prompt: ${why}`, 'prompt');
  }
  return { labels: [], keys };
}

/** A tenant, a layer or a salt of the caller, as labels of blocks and as a group of all else; a layer has blocks alone. */
function named(
  { tenant, share, cache_salt }: PurgeRequest,
  principal: Principal | null,
): { readonly what: Purge['what']; readonly label: string; readonly group: SaltGroup | null } {
  if (tenant !== undefined) {
    const owner = saltOwner(ownTenant(tenant, principal));
    return { what: 'tenant', label: ownerLabel(owner), group: { by: 'owner', digest: ownerDigest(owner) } };
  }
  if (share !== undefined) {
    if (!mayOperate(principal)) throw notAllowed('share', `drop what was published into '${share}'`, principal);
    return { what: 'share', label: saltLabel(layerSalt(share)), group: null };
  }
  checkScope(principal);
  const label = saltLabel(saltOf(principal, cache_salt) ?? '');
  return { what: 'salt', label, group: saltGroup(ownSaltOf(principal, cache_salt)) };
}

function saltGroup(salt: string): SaltGroup {
  return { by: 'salt', digest: saltDigest(salt) };
}

/** A caller may drop what is its own tenant's; an operator may drop any tenant's. */
function ownTenant(tenant: string, principal: Principal | null): string {
  if (principal === null) throw new InvalidRequest('tenant: there are no tenants, since no key is needed', 'tenant');
  if (tenant === principal.tenant || mayOperate(principal)) return tenant;
  throw notAllowed('tenant', `drop what is kept of the tenant '${tenant}'`, principal);
}

/** The blocks of the scope `public` belong to all tenants with that scope. */
function checkScope(principal: Principal | null): void {
  if (principal?.saltPrefix !== PUBLIC_SCOPE || mayOperate(principal)) return;
  throw notAllowed('cache_salt', 'drop blocks of the salt scope public', principal);
}

function notAllowed(param: string, deed: string, principal: Principal | null): ApiError {
  return new ApiError(403, `${param}: the key '${principal?.id}' may not ${deed}; that needs the role operator`, {
    param,
    code: 'purge_not_allowed',
  });
}

function receipt(purge: Purge) {
  const { complete: _, ...total } = totalOf(purge);
  return {
    id: purge.id,
    object: 'cache.purge',
    what: purge.what,
    state: isComplete(purge) ? 'complete' : 'incomplete',
    created_at: Math.floor(purge.createdMs / 1_000),
    pins: purge.pins,
    answers: purge.answers,
    dropped: total,
    exact: distinctBlocks(purge).exact,
    workers: purge.rows.map(({ worker, state, counts: { complete: __, ...dropped } }) => ({
      id: worker,
      state,
      ...dropped,
    })),
  };
}
