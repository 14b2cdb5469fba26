import { checkModel } from '../../access/model-access.js';
import type { Fleet } from '../../fleet.js';
import type { Layers } from '../../layers/layers.js';
import { checkBody } from '../../openai/parameters/check-body.js';
import type { PromptReader } from '../../openai/prompt.js';
import { ExplainRequest } from '../../openai/requests.js';
import type { ServedModel } from '../../openai/served-model.js';
import { type HttpRoute, json } from '../route.js';
import { textCallerOf } from '../text-caller.js';

/** `POST /v1/cache/explain`: where the blocks of a prompt are; `POST /reset_prefix_cache`: drop all blocks. */
export function cacheRoutes(fleet: Fleet, layers: Layers, model: ServedModel, prompts: PromptReader): HttpRoute[] {
  return [
    {
      method: 'POST',
      path: '/v1/cache/explain',
      about: { summary: 'Says where each block of a prompt is.', body: ExplainRequest },
      access: 'key',
      handle: async (exchange) => {
        const { body, principal } = exchange;
        const request = checkBody(ExplainRequest, body);
        const adapter = checkModel(model, request.model, principal);
        const { tokens } = await prompts.readPrompt(request, request, textCallerOf(exchange));
        const { blocks, wouldRunOn } = await fleet.explain(
          tokens,
          layers.saltFor(tokens, principal, request.cache_salt),
          adapter,
        );
        return json({
          tokens: tokens.length,
          blocks: blocks.map(({ index, key, homes, holders, tiers, state, reason }) => ({
            index,
            key,
            homes,
            holders,
            tiers,
            state,
            reason,
          })),
          would_run_on: wouldRunOn,
        });
      },
    },
    {
      method: 'POST',
      path: '/reset_prefix_cache',
      about: { summary: 'Forgets all blocks.' },
      access: 'operator',
      handle: async () => {
        await fleet.resetCache();
        return json({ status: 'ok' });
      },
    },
  ];
}
