import { InvalidRequest } from '../../../src/errors.js';
import type { PromptReader } from '../../openai/prompt.js';
import { checkBody, DetokenizeRequest, TokenizeRequest } from '../../openai/requests.js';
import { checkModelName, type ServedModel } from '../../openai/served-model.js';
import { type HttpRoute, json } from '../route.js';

/** `POST /tokenize` and `POST /detokenize`, compatible with vLLM. */
export function tokenizeRoutes(model: ServedModel, prompts: PromptReader): HttpRoute[] {
  return [
    {
      method: 'POST',
      path: '/tokenize',
      access: 'key',
      pages: 'allowed',
      handle: ({ body }) => {
        const request = checkBody(TokenizeRequest, body);
        checkModelName(model, request.model);
        const tokens = tokensOf(request, prompts);
        return json({ count: tokens.length, max_model_len: model.contextTokens, tokens });
      },
    },
    {
      method: 'POST',
      path: '/detokenize',
      access: 'key',
      pages: 'allowed',
      handle: ({ body }) => {
        const request = checkBody(DetokenizeRequest, body);
        checkModelName(model, request.model);
        prompts.checkIds(request.tokens, 'tokens');
        return json({ prompt: model.tokenizer.decode(request.tokens, { skipSpecialTokens: false }) });
      },
    },
  ];
}

function tokensOf(request: TokenizeRequest, prompts: PromptReader): number[] {
  const {
    prompt,
    messages,
    add_special_tokens: addSpecialTokens,
    add_generation_prompt: addGenerationPrompt,
  } = request;
  if ((prompt === undefined) === (messages === undefined)) {
    throw new InvalidRequest('prompt: exactly one of prompt and messages is required', 'prompt');
  }
  if (messages !== undefined) {
    const options = { addGenerationPrompt: addGenerationPrompt ?? true, addSpecialTokens: addSpecialTokens ?? false };
    return [...prompts.readMessages(messages, options).tokens];
  }
  return [...prompts.readText(prompt, 'prompt', addSpecialTokens ?? true).tokens];
}
