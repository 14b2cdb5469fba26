import { InvalidRequest } from '../../../src/errors.js';
import { COMPLETION_SHAPE } from '../../openai/completion-shape.js';
import { maxTokensOf } from '../../openai/max-tokens.js';
import { CompletionRequest } from '../../openai/requests.js';
import { COMPLETION_ANSWER } from '../answer-schemas.js';
import type { HttpRoute } from '../route.js';
import { answerWithTokens, type GenerationDeps, type GenerationEndpoint } from './generation.js';

/** `POST /v1/completions`: text or token ids in, text out. */
export function completionsRoute(deps: GenerationDeps): HttpRoute {
  const endpoint: GenerationEndpoint<CompletionRequest> = {
    path: '/v1/completions',
    schema: CompletionRequest,
    shape: COMPLETION_SHAPE,
    message: null,
    demand: async (request, caller) => {
      checkEcho(request);
      return {
        prompts: await deps.prompts.readPrompts(
          request.prompt,
          { ...request, withText: request.echo ?? false },
          caller,
        ),
        maxTokens: maxTokensOf(request),
        defaultMaxTokens: DEFAULT_MAX_TOKENS,
        logprobs: request.logprobs === undefined ? null : { value: request.logprobs, param: 'logprobs' },
        echo: request.echo ?? false,
      };
    },
  };
  return {
    method: 'POST',
    path: endpoint.path,
    about: { summary: 'Continues a text.', body: CompletionRequest, answer: COMPLETION_ANSWER },
    access: 'key',
    pages: 'allowed',
    generates: true,
    handle: (exchange) => answerWithTokens(endpoint, exchange, deps),
  };
}

/** The text of a prompt that is cut is not known. */
function checkEcho({ echo, truncate_prompt_tokens: most }: CompletionRequest): void {
  if (echo && most !== undefined)
    throw new InvalidRequest('echo: cannot be combined with truncate_prompt_tokens', 'echo');
}

/** OpenAI's default for completions. */
const DEFAULT_MAX_TOKENS = 16;
