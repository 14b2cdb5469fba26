import { InvalidRequest } from '../../../src/errors.js';
import { checkModel } from '../../access/model-access.js';
import type { Prompt, PromptReader } from '../../openai/prompt.js';
import { checkBody, DetokenizeRequest, TokenizeRequest } from '../../openai/requests.js';
import type { ServedModel } from '../../openai/served-model.js';
import { type HttpRoute, json } from '../route.js';

/** `POST /tokenize` and `POST /detokenize`, compatible with vLLM. */
export function tokenizeRoutes(model: ServedModel, prompts: PromptReader): HttpRoute[] {
  return [
    {
      method: 'POST',
      path: '/tokenize',
      access: 'key',
      pages: 'allowed',
      handle: async ({ body, principal, signal }) => {
        const request = checkBody(TokenizeRequest, body);
        checkModel(model, request.model, principal);
        const { tokens } = await promptOf(request, prompts, signal);
        return json({ count: tokens.length, max_model_len: model.contextTokens, tokens: [...tokens] });
      },
    },
    {
      method: 'POST',
      path: '/detokenize',
      access: 'key',
      pages: 'allowed',
      handle: async ({ body, principal, signal }) => {
        const request = checkBody(DetokenizeRequest, body);
        checkModel(model, request.model, principal);
        prompts.checkIds(request.tokens, 'tokens');
        const prompt = await model.text.decode(Uint32Array.from(request.tokens), { param: 'tokens' }, signal);
        return json({ prompt });
      },
    },
  ];
}

function promptOf(request: TokenizeRequest, prompts: PromptReader, signal: AbortSignal): Promise<Prompt> {
  const { prompt, messages } = request;
  if ((prompt === undefined) === (messages === undefined)) {
    throw new InvalidRequest('prompt: exactly one of prompt and messages is required', 'prompt');
  }
  if (messages !== undefined) return prompts.readMessages(messages, request, signal);
  return prompts.readText(prompt, 'prompt', request, signal);
}
