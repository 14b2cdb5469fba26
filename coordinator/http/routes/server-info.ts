import { BLOCK_TOKENS, CHOICES_PER_PROMPT, CHOICES_PER_REQUEST, PROMPTS_PER_REQUEST } from '../../../src/limits.js';
import { checkModel, mayUse } from '../../access/model-access.js';
import type { ServedModel } from '../../openai/served-model.js';
import { type HttpRoute, json } from '../route.js';

/** `GET /server_info` and `GET /tokenizer_info`, which vLLM has too. */
export function serverInfoRoutes(model: ServedModel, version: string): HttpRoute[] {
  return [
    {
      method: 'GET',
      path: '/server_info',
      about: {
        summary: 'How the model is served: its names, its context, how answers are read, and the limits of requests.',
      },
      access: 'key',
      pages: 'allowed',
      handle: ({ principal }) =>
        json({
          version,
          served_model_names: [model.name, ...model.aliases].filter((name) => mayUse(model, name, principal)),
          max_model_len: model.contextTokens,
          vocab_size: model.tokenizer.vocabSize,
          block_size: BLOCK_TOKENS,
          tool_call_parser: model.message.tools?.parser ?? null,
          reasoning_parser: model.message.reasoning,
          limits: { prompts: PROMPTS_PER_REQUEST, choices: CHOICES_PER_REQUEST, n: CHOICES_PER_PROMPT },
        }),
    },
    {
      method: 'GET',
      path: '/tokenizer_info',
      about: {
        summary: 'The configuration of the tokenizer, as tokenizer_config.json has it, with the chat template.',
      },
      access: 'key',
      pages: 'allowed',
      handle: ({ principal }) => {
        checkModel(model, undefined, principal);
        return json(model.tokenizerInfo);
      },
    },
  ];
}
