import { LOOP_TURNS } from '../../../src/async/loop-turns.js';
import type { BlockKey } from '../../../src/core/block.js';
import type { PurgeSelector } from '../../../src/core/purge-selector.js';
import { layersOf, ownerLabel, type Salt, saltLabel } from '../../../src/core/salt.js';
import { InvalidRequest } from '../../../src/errors.js';
import { HOLDINGS_KEYS_PER_MESSAGE } from '../../../src/protocol/holdings.js';
import { type Principal, PUBLIC_SCOPE, saltOf, saltOwner } from '../../access/principal.js';
import { mayOperate } from '../../access/roles.js';
import type { Layers } from '../../layers/layers.js';
import { layerSalt } from '../../layers/published-prefixes.js';
import { ApiError } from '../../openai/api-error.js';
import { checkBody } from '../../openai/parameters/check-body.js';
import type { PromptReader } from '../../openai/prompt.js';
import { PurgeRequest } from '../../openai/requests.js';
import { isComplete, type Purge } from '../../purge/purge.js';
import { type Purges, totalOf } from '../../purge/purges.js';
import { type Exchange, type HttpRoute, json } from '../route.js';
import { textCallerOf } from '../text-caller.js';

/** `POST /v1/cache/purge`: drops the blocks of a tenant, a salt or a prompt everywhere; `GET /v1/cache/purge/{id}`: the receipt. */

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
      about: { summary: 'Drops cached blocks everywhere.', body: PurgeRequest },
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
    return { what: 'prompt', selector: await ofPrompt(tokens, salts, keysOf) };
  }
  const labels = [labelFor(request, principal)];
  const what = request.tenant !== undefined ? 'tenant' : request.share !== undefined ? 'share' : 'salt';
  return { what, selector: { labels, keys: new Set() } };
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

function labelFor({ tenant, share, cache_salt: salt }: PurgeRequest, principal: Principal | null): string {
  if (tenant !== undefined) return ownerLabel(saltOwner(ownTenant(tenant, principal)));
  if (share !== undefined) {
    if (!mayOperate(principal)) throw notAllowed('share', `drop what was published into '${share}'`, principal);
    return saltLabel(layerSalt(share));
  }
  checkScope(principal);
  return saltLabel(saltOf(principal, salt) ?? '');
}

/** A caller may drop its own tenant's blocks; an operator may drop any. */
function ownTenant(tenant: string, principal: Principal | null): string {
  if (principal === null) throw new InvalidRequest('tenant: there are no tenants, since no key is needed', 'tenant');
  if (tenant === principal.tenant || mayOperate(principal)) return tenant;
  throw notAllowed('tenant', `drop the blocks of the tenant '${tenant}'`, principal);
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
    dropped: total,
    workers: purge.rows.map(({ worker, state, counts: { complete: __, ...dropped } }) => ({
      id: worker,
      state,
      ...dropped,
    })),
  };
}
