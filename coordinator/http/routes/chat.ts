import { InvalidRequest } from '../../../src/errors.js';
import { retainedPrefix } from '../../openai/cache-retention.js';
import { CHAT_SHAPE } from '../../openai/chat-shape.js';
import { maxTokensOf } from '../../openai/max-tokens.js';
import { ChatRequest } from '../../openai/requests.js';
import { CHAT_ANSWER } from '../answer-schemas.js';
import type { HttpRoute } from '../route.js';
import { answerWithTokens, type GenerationDeps, type GenerationEndpoint } from './generation.js';
import { messageReading } from './message-reading.js';

/** `POST /v1/chat/completions`: messages in, rendered by the model's chat template; an assistant message out. */
export function chatRoute(deps: GenerationDeps): HttpRoute {
  const endpoint: GenerationEndpoint<ChatRequest> = {
    path: '/v1/chat/completions',
    schema: ChatRequest,
    shape: CHAT_SHAPE,
    message: (request) => messageReading(request, null, deps),
    demand: async (request, caller) => {
      const { prompts } = deps;
      const prompt = await prompts.readMessages(request.messages, request, caller);
      return {
        prompts: [prompt],
        marks: await retainedPrefix(request, prompt, request.messages, { prompts, reading: request, caller }),
        maxTokens: maxTokensOf(request),
        defaultMaxTokens: deps.model.contextTokens,
        logprobs: logprobsOf(request),
        echo: false,
      };
    },
  };
  return {
    method: 'POST',
    path: endpoint.path,
    about: { summary: 'Answers a conversation.', body: ChatRequest, answer: CHAT_ANSWER },
    access: 'key',
    pages: 'allowed',
    generates: true,
    handle: (exchange) => answerWithTokens(endpoint, exchange, deps),
  };
}

function logprobsOf(request: ChatRequest) {
  if (request.logprobs) return { value: request.top_logprobs ?? 0, param: 'top_logprobs' };
  if (request.top_logprobs === undefined || request.top_logprobs === 0) return null;
  throw new InvalidRequest('top_logprobs: is only allowed with logprobs: true', 'top_logprobs');
}
