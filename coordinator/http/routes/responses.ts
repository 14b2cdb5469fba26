import type { z } from 'zod';
import { retainedPrefix } from '../../openai/cache-retention.js';
import { formatConstraint, type NamedConstraint } from '../../openai/constraint-fields.js';
import { objectOf } from '../../openai/parameters/parameter.js';
import { RESPONSE_PARAMETERS } from '../../openai/parameters/response-parameters.js';
import { ResponseBuilder } from '../../openai/responses/response-builder.js';
import { responseMessages } from '../../openai/responses/response-input.js';
import type { ToolFields } from '../../openai/tool-use.js';
import type { ResponseStore } from '../../responses/response-store.js';
import { ResponseTurn } from '../../responses/response-turn.js';
import { RESPONSE_ANSWER } from '../answer-schemas.js';
import type { HttpRoute } from '../route.js';
import { answerWithTokens, type GenerationDeps, type GenerationEndpoint } from './generation.js';
import { messageReading } from './message-reading.js';

const ResponseRequest = objectOf(RESPONSE_PARAMETERS);
type ResponseRequest = z.infer<typeof ResponseRequest>;

/** Bytes at random in the id of an answer, so that it is another's neither by chance nor by the client's name for the request. */
const ID_BYTES = 8;

/** `POST /v1/responses`: OpenAI's Responses API. @param store null: the fleet stores no answers */
export function responsesRoute(deps: GenerationDeps, store: ResponseStore | null): HttpRoute {
  return {
    method: 'POST',
    path: '/v1/responses',
    about: {
      summary: 'Answers a conversation in the form of the Responses API.',
      body: ResponseRequest,
      answer: RESPONSE_ANSWER,
    },
    access: 'key',
    pages: 'allowed',
    generates: true,
    handle: (exchange) => answerWithTokens(endpointOf(deps, new ResponseTurn(store, exchange)), exchange, deps),
  };
}

function endpointOf(deps: GenerationDeps, turn: ResponseTurn): GenerationEndpoint<ResponseRequest> {
  return {
    path: '/v1/responses',
    schema: ResponseRequest,
    shape: {
      idPrefix: PREFIX,
      // Responses are stored under their ids, and several requests may have one name.
      idOf: (requestId) => `${PREFIX}${Buffer.from(deps.random.bytes(ID_BYTES)).toString('hex')}_${requestId}`,
      builder: (request, head, tally) => {
        const keep = turn.keeperOf(request, head.id);
        return new ResponseBuilder({ ...head, echoed: echoedFields(request), keep }, tally);
      },
    },
    message: (request) => messageReading(toolFields(request), formatOf(request), deps),
    demand: async (request, caller) => {
      const { prompts } = deps;
      const messages = responseMessages(await turn.conversation(request), request.instructions);
      const effort = request.reasoning?.effort ?? undefined;
      const own = { reasoning_effort: effort, param: 'input', effortParam: 'reasoning.effort' };
      const reading = { ...toolFields(request), ...own };
      const prompt = await prompts.readMessages(messages, reading, caller);
      const most = request.max_output_tokens;
      return {
        prompts: [prompt],
        marks: await retainedPrefix(request, prompt, messages, { prompts, reading, caller }),
        maxTokens: most === undefined ? null : { value: most, param: 'max_output_tokens' },
        defaultMaxTokens: deps.model.contextTokens,
        logprobs: null,
        echo: false,
      };
    },
  };
}

const PREFIX = 'resp_';

function toolFields({ tools = [], tool_choice: choice, parallel_tool_calls }: ResponseRequest): ToolFields {
  return {
    tools: tools.map(({ type, name, description, parameters, strict }) => ({
      type,
      function: {
        name,
        ...(description ? { description } : {}),
        ...(parameters ? { parameters } : {}),
        ...(strict === null || strict === undefined ? {} : { strict }),
      },
    })),
    tool_choice: chatChoice(choice),
    parallel_tool_calls,
    choiceParams: { name: 'tool_choice.name', allowed: 'tool_choice.tools' },
  };
}

/** The choice as chats have it. */
function chatChoice(choice: ResponseRequest['tool_choice']): ToolFields['tool_choice'] {
  if (typeof choice !== 'object') return choice;
  if (choice.type === 'function') return { type: 'function', function: { name: choice.name } };
  const tools = choice.tools.map(({ type, name }) => ({ type, function: { name } }));
  return { type: 'allowed_tools', allowed_tools: { mode: choice.mode, tools } };
}

function formatOf({ text }: ResponseRequest): NamedConstraint | null {
  const format = text?.format;
  if (!format || format.type === 'text') return null;
  if (format.type === 'json_object') return formatConstraint(format, 'text.format');
  const { schema, strict } = format;
  return formatConstraint({ type: 'json_schema', json_schema: { schema, strict } }, 'text.format');
}

function echoedFields(request: ResponseRequest): Readonly<Record<string, unknown>> {
  const { instructions, tools, tool_choice, parallel_tool_calls, temperature, top_p, text, reasoning } = request;
  return {
    instructions: instructions ?? null,
    previous_response_id: request.previous_response_id ?? null,
    tools: tools ?? [],
    tool_choice: tool_choice ?? 'auto',
    parallel_tool_calls: parallel_tool_calls ?? true,
    temperature: temperature ?? null,
    top_p: top_p ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    text: { format: text?.format ?? { type: 'text' } },
    reasoning: { effort: reasoning?.effort ?? null, summary: null },
    metadata: request.metadata ?? {},
  };
}
