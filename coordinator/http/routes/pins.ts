import { InvalidRequest } from '../../../src/errors.js';
import { BLOCK_TOKENS } from '../../../src/limits.js';
import { checkModel } from '../../access/model-access.js';
import { type Principal, tenantOf } from '../../access/principal.js';
import type { Layers } from '../../layers/layers.js';
import { ApiError } from '../../openai/api-error.js';
import { checkBody } from '../../openai/parameters/check-body.js';
import type { PromptReader } from '../../openai/prompt.js';
import { PinRequest } from '../../openai/requests.js';
import type { ServedModel } from '../../openai/served-model.js';
import { RETENTION_TTL_MAX_S, RETENTION_TTL_S } from '../../retention/retention.js';
import type { Retentions, RetentionView } from '../../retention/retentions.js';
import { type Exchange, type HttpRoute, json } from '../route.js';
import { textCallerOf } from '../text-caller.js';

export interface PinDeps {
  readonly retentions: Retentions;
  readonly layers: Layers;
  readonly model: ServedModel;
  readonly prompts: PromptReader;
}

/** `POST /v1/cache/pin`: keeps the blocks of a prompt in the fleet; `GET /v1/cache/pins`; `DELETE /v1/cache/pin/{id}`. */
export function pinRoutes(deps: PinDeps): HttpRoute[] {
  const { retentions } = deps;
  return [
    {
      method: 'POST',
      path: '/v1/cache/pin',
      about: { summary: 'Keeps the blocks of a prompt in the fleet.', body: PinRequest },
      access: 'key',
      handle: async (exchange) => json(pinRow(await pin(exchange, deps))),
    },
    {
      method: 'GET',
      path: '/v1/cache/pins',
      about: { summary: 'Lists the pins of the caller.' },
      access: 'key',
      handle: async ({ principal }) =>
        json({ object: 'list', data: (await retentions.list(ownerOf(principal))).map(pinRow) }),
    },
    {
      method: 'DELETE',
      path: '/v1/cache/pin/:id',
      about: { summary: 'Releases a pin.' },
      access: 'key',
      handle: async ({ params, principal }) => {
        const id = params.id ?? '';
        const mayEnd = (layer: string) => deps.layers.checkPublisher(principal, layer);
        if (await retentions.remove(id, ownerOf(principal), mayEnd))
          return json({ id, object: 'cache.pin', deleted: true });
        throw new ApiError(404, `id: no pin '${id}'; GET /v1/cache/pins lists your pins`, {
          param: 'id',
          code: 'pin_not_found',
        });
      },
    },
  ];
}

/** Pins belong to tenants. */
function ownerOf(principal: Principal | null): string | null {
  return principal?.tenant ?? null;
}

async function pin(exchange: Exchange, { retentions, layers, model, prompts }: PinDeps): Promise<RetentionView> {
  const { body, principal, use } = exchange;
  const request = checkBody(PinRequest, body);
  const adapter = checkModel(model, request.model, principal);
  const layer = request.share ?? null;
  if (layer !== null && adapter !== null)
    throw new InvalidRequest(
      `share: is not allowed with an adapter; publish the prompt for '${model.name}', or pin it without share`,
      'share',
    );
  if (layer !== null) layers.checkPublisher(principal, layer);
  if (layer !== null && request.cache_salt !== undefined) {
    throw new InvalidRequest('cache_salt: is not allowed with share, whose layer has a salt of its own', 'cache_salt');
  }
  const { tokens, param } = await prompts.readPrompt(request, request, textCallerOf(exchange));
  if (tokens.length < BLOCK_TOKENS) {
    throw new InvalidRequest(
      `${param}: has ${tokens.length} tokens; a pin keeps full blocks of ${BLOCK_TOKENS} tokens`,
      param,
    );
  }
  if (tokens.length >= model.contextTokens) {
    throw new InvalidRequest(
      `${param}: must have fewer tokens than the model's context of ${model.contextTokens}, got ${tokens.length}`,
      param,
    );
  }
  use?.prompt(tokens.length);
  if (use !== null) exchange.answerHeaders(use.headers());
  exchange.account(() => ({ tokens: { prompt: tokens.length, cached: 0, generated: 0 }, answer: null }));
  const added = await retentions.add({
    tokens,
    salt:
      layer === null
        ? layers.saltFor(tokens, principal, request.cache_salt)
        : layers.saltOfPublished(tokens, layer, param),
    owner: ownerOf(principal),
    tenant: tenantOf(principal),
    layer,
    adapter,
    ttlMs: 1_000 * (request.ttl_seconds ?? (layer === null ? RETENTION_TTL_S : RETENTION_TTL_MAX_S)),
  });
  if (!('type' in added)) return added;
  const [status, code] = added.type === 'quota' ? [429, 'pin_quota_exceeded'] : [409, 'pin_does_not_fit'];
  throw new ApiError(status as number, added.why, { param, code: code as string });
}

function pinRow({ id, owner, layer, tokens, blocks, copies, state, reason, createdMs, expiresMs }: RetentionView) {
  return {
    id,
    object: 'cache.pin',
    share: layer,
    tokens,
    blocks,
    copies,
    state,
    reason,
    owner: owner?.slice(0, 12) ?? null,
    created_at: Math.floor(createdMs / 1_000),
    expires_at: Math.floor(expiresMs / 1_000),
  };
}
