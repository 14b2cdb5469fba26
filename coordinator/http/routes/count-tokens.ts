import { checkModel } from '../../access/model-access.js';
import { conversationOf } from '../../openai/anthropic/message-input.js';
import { checkBody } from '../../openai/parameters/check-body.js';
import { COUNT_PARAMETERS } from '../../openai/parameters/message-parameters.js';
import { objectOf } from '../../openai/parameters/parameter.js';
import type { PromptReader } from '../../openai/prompt.js';
import type { ServedModel } from '../../openai/served-model.js';
import { COUNT_ANSWER } from '../answer-schemas.js';
import { type HttpRoute, json } from '../route.js';
import { textCallerOf } from '../text-caller.js';
import { messageThinking, messageTools } from './messages.js';

const CountRequest = objectOf(COUNT_PARAMETERS);

/** `POST /v1/messages/count_tokens`: the tokens of a prompt of Anthropic's Messages API. */
export function countTokensRoute(model: ServedModel, prompts: PromptReader): HttpRoute {
  return {
    method: 'POST',
    path: '/v1/messages/count_tokens',
    about: {
      summary: 'Counts the tokens of a conversation in the form of the Messages API.',
      body: CountRequest,
      answer: COUNT_ANSWER,
    },
    access: 'key',
    pages: 'allowed',
    handle: async (exchange) => {
      const request = checkBody(CountRequest, exchange.body);
      checkModel(model, request.model, exchange.principal);
      const { messages, continued } = conversationOf(request);
      const own = { ...messageTools(request), ...messageThinking(request, model) };
      const reading = { ...own, continue_final_message: continued };
      const { tokens } = await prompts.readMessages(messages, reading, textCallerOf(exchange));
      return json({ input_tokens: tokens.length });
    },
  };
}
