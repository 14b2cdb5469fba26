import type { z } from 'zod';
import { InvalidRequest } from '../../../src/errors.js';
import { cacheMarks } from '../../openai/anthropic/cache-marks.js';
import { MessageBuilder } from '../../openai/anthropic/message-builder.js';
import { conversationOf, type MessageInput } from '../../openai/anthropic/message-input.js';
import { formatConstraint, type NamedConstraint } from '../../openai/constraint-fields.js';
import { type Mark, sharedBlocks } from '../../openai/mark.js';
import type { RequestMessage } from '../../openai/messages.js';
import { MESSAGE_PARAMETERS } from '../../openai/parameters/message-parameters.js';
import { objectOf } from '../../openai/parameters/parameter.js';
import type { ServedModel } from '../../openai/served-model.js';
import type { TemplateFields } from '../../openai/template-fields.js';
import type { ToolFields } from '../../openai/tool-use.js';
import { MESSAGE_ANSWER } from '../answer-schemas.js';
import type { HttpRoute } from '../route.js';
import { answerWithTokens, type GenerationDeps, type GenerationEndpoint } from './generation.js';
import { messageReading } from './message-reading.js';

const MessageRequest = objectOf(MESSAGE_PARAMETERS);
type MessageRequest = z.infer<typeof MessageRequest>;

/** `POST /v1/messages`: Anthropic's Messages API. */
export function messagesRoute(deps: GenerationDeps): HttpRoute {
  const endpoint: GenerationEndpoint<MessageRequest> = {
    path: '/v1/messages',
    schema: MessageRequest,
    shape: { idPrefix: 'msg_', builder: (_, head, tally, marks) => new MessageBuilder(head, tally, marks) },
    message: (request) => messageReading(messageTools(request), formatOf(request), deps),
    demand: async (request, caller) => {
      const { messages, continued } = conversationOf(request);
      const own = { ...messageTools(request), ...effortOf(request), ...messageThinking(request, deps.model) };
      const reading = { ...own, continue_final_message: continued };
      const prompt = await deps.prompts.readMessages(messages, reading, caller);
      const marks: Mark[] = [];
      for (const { input, ttl } of cacheMarks(request)) {
        const tokens =
          input === null
            ? sharedBlocks(prompt.tokens, prompt.tokens)
            : await deps.prompts.prefixOf(prompt, openConversation(input), reading, caller);
        marks.push({ tokens, ttlMs: TTL_MS[ttl], name: null });
      }
      return {
        prompts: [prompt],
        marks,
        maxTokens: { value: request.max_tokens, param: 'max_tokens' },
        defaultMaxTokens: deps.model.contextTokens,
        logprobs: null,
        echo: false,
        stops: request.stop_sequences,
      };
    },
  };
  return {
    method: 'POST',
    path: endpoint.path,
    about: {
      summary: "Answers a conversation in the form of Anthropic's Messages API.",
      body: MessageRequest,
      answer: MESSAGE_ANSWER,
    },
    access: 'key',
    pages: 'allowed',
    generates: true,
    handle: (exchange) => answerWithTokens(endpoint, exchange, deps),
  };
}

const TTL_MS = { '5m': 300_000, '1h': 3_600_000 };

/** A conversation with this beginning that ends with the user's turn, as templates demand. */
function openConversation(input: MessageInput): RequestMessage[] {
  const { messages } = conversationOf(input);
  const last = messages.at(-1)?.role;
  const next: RequestMessage = { role: 'user', name: undefined, content: '.' };
  return last === 'user' || last === 'tool' ? messages : [...messages, next];
}

/** @throws InvalidRequest if both names of the format are given */
function formatOf({ output_config: config, output_format: older }: MessageRequest): NamedConstraint | null {
  const format = config?.format ?? older;
  if (!format) return null;
  if (config?.format && older)
    throw new InvalidRequest(
      'output_format: cannot be combined with output_config.format; send one of them',
      'output_format',
    );
  const json = { type: 'json_schema' as const, json_schema: { schema: format.schema, strict: true } };
  return formatConstraint(json, config?.format ? 'output_config.format' : 'output_format');
}

function effortOf({ output_config: config }: MessageRequest) {
  const effort = config?.effort ?? undefined;
  if (effort === undefined) return {};
  return { reasoning_effort: effort === 'max' ? 'xhigh' : effort, effortParam: 'output_config.effort' };
}

/**
 * Whether the model is to reason, as its template is told.
 * @throws InvalidRequest if it is to, and cannot
 */
export function messageThinking(
  { thinking }: Pick<MessageRequest, 'thinking'>,
  { message }: Pick<ServedModel, 'message'>,
): Pick<TemplateFields, 'thinking'> {
  if (!thinking) return {};
  const on = thinking.type !== 'disabled';
  if (on && message.reasoning === null)
    throw new InvalidRequest(
      'thinking: the model does not reason; leave it out, or send {"type":"disabled"}',
      'thinking',
    );
  return { thinking: on };
}

/** The tools of a request in the form of chats. */
export function messageTools({
  tools = [],
  tool_choice: choice,
}: Pick<MessageRequest, 'tools' | 'tool_choice'>): ToolFields {
  const one = choice !== undefined && choice.type !== 'none' && choice.disable_parallel_tool_use === true;
  return {
    tools: tools.map(({ name, description, input_schema: parameters, strict }) => ({
      type: 'function',
      function: { name, ...(description ? { description } : {}), parameters, ...(strict ? { strict } : {}) },
    })),
    tool_choice: choiceOf(choice),
    choiceParams: { name: 'tool_choice.name', allowed: 'tool_choice' },
    schemaField: 'input_schema',
    ...(one ? { parallel_tool_calls: false } : {}),
  };
}

function choiceOf(choice: MessageRequest['tool_choice']): ToolFields['tool_choice'] {
  if (choice?.type === 'tool') return { type: 'function', function: { name: choice.name } };
  return choice?.type === 'any' ? 'required' : choice?.type;
}
