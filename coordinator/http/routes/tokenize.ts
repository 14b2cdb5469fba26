import { InvalidRequest } from '../../../src/errors.js';
import type { TextCaller } from '../../../src/text/text-work.js';
import { checkModel } from '../../access/model-access.js';
import { checkBody } from '../../openai/parameters/check-body.js';
import type { Prompt, PromptReader } from '../../openai/prompt.js';
import { DetokenizeRequest, TokenizeRequest } from '../../openai/requests.js';
import type { ServedModel } from '../../openai/served-model.js';
import { type HttpRoute, json } from '../route.js';
import { textCallerOf } from '../text-caller.js';

/** `POST /tokenize` and `POST /detokenize`, compatible with vLLM. */
export function tokenizeRoutes(model: ServedModel, prompts: PromptReader): HttpRoute[] {
  return [
    {
      method: 'POST',
      path: '/tokenize',
      about: { summary: 'Turns a text or a conversation into token ids.', body: TokenizeRequest },
      access: 'key',
      pages: 'allowed',
      handle: async (exchange) => {
        const { body, principal } = exchange;
        const request = checkBody(TokenizeRequest, body);
        checkModel(model, request.model, principal);
        const { tokens } = await promptOf(request, prompts, textCallerOf(exchange));
        return json({ count: tokens.length, max_model_len: model.contextTokens, tokens: [...tokens] });
      },
    },
    {
      method: 'POST',
      path: '/detokenize',
      about: { summary: 'Turns token ids into text.', body: DetokenizeRequest },
      access: 'key',
      pages: 'allowed',
      handle: async (exchange) => {
        const { body, principal } = exchange;
        const request = checkBody(DetokenizeRequest, body);
        checkModel(model, request.model, principal);
        prompts.checkIds(request.tokens, 'tokens');
        const prompt = await model.text.decode(
          Uint32Array.from(request.tokens),
          { param: 'tokens' },
          textCallerOf(exchange),
        );
        return json({ prompt });
      },
    },
  ];
}

function promptOf(request: TokenizeRequest, prompts: PromptReader, caller: TextCaller): Promise<Prompt> {
  const { prompt, messages } = request;
  if ((prompt === undefined) === (messages === undefined)) {
    throw new InvalidRequest('prompt: exactly one of prompt and messages is required', 'prompt');
  }
  if (messages !== undefined) return prompts.readMessages(messages, request, caller);
  return prompts.readText(prompt, 'prompt', request, caller);
}
