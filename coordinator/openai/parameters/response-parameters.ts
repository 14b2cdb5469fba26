import { z } from 'zod';
import { CACHE_PARAMETERS } from '../cache-retention.js';
import { Count, listOf, Name, notEmpty } from '../fields.js';
import { ResponseInput } from '../responses/response-input.js';
import { ReasoningEffort } from '../template-fields.js';
import { CHAT_NAMES } from './chat-names.js';
import { COMMON_PARAMETERS } from './common-parameters.js';
import { honoured, inert, type ParameterTable, refused } from './parameter.js';

/** Tools in one request. */
const TOOLS = 1_024;

const JsonSchemaField = z.record(z.string(), z.unknown(), { error: 'must be a JSON Schema' });
const ResponseTool = z.object({
  type: z.literal('function', { error: 'must be "function"; the fleet runs no tools itself' }),
  name: Name.min(1),
  description: z.string().nullish(),
  parameters: JsonSchemaField.nullish(),
  strict: z.boolean().nullish(),
});
const NamedResponseTool = z.object({ type: z.literal('function'), name: Name });
const ResponseToolChoice = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    NamedResponseTool,
    z.object({
      type: z.literal('allowed_tools'),
      mode: z.enum(['auto', 'required']),
      tools: notEmpty(listOf(NamedResponseTool, TOOLS)),
    }),
  ],
  {
    error:
      'must be "none", "auto", "required", {"type":"function","name":…} or {"type":"allowed_tools","mode":…,"tools":[…]}',
  },
);
const ResponseText = z.object({
  format: z
    .discriminatedUnion(
      'type',
      [
        z.object({ type: z.literal('text') }),
        z.object({ type: z.literal('json_object'), schema: JsonSchemaField.nullish() }),
        z.object({
          type: z.literal('json_schema'),
          name: Name.nullish(),
          description: z.string().nullish(),
          schema: JsonSchemaField,
          strict: z.boolean().nullish(),
        }),
      ],
      { error: 'must have the type "text", "json_object" or "json_schema"' },
    )
    .nullish(),
  verbosity: z
    .unknown()
    .refine(
      (value) => value === undefined || value === null || value === 'medium',
      'is not supported; ask for it in the instructions',
    )
    .optional(),
});
const ResponseReasoning = z.object({
  effort: ReasoningEffort.nullish(),
  summary: z
    .unknown()
    .refine(
      (value) => value === undefined || value === null || value === 'auto',
      'is not supported; an answer has the reasoning itself',
    )
    .optional(),
});

const LENGTH = 'use max_output_tokens';

/** Every known parameter of `POST /v1/responses`. */
export const RESPONSE_PARAMETERS = {
  ...CHAT_NAMES,
  ...{ max_new_tokens: refused([], LENGTH), thinking_budget: refused([], LENGTH) },
  ...{ n_predict: refused([-1], LENGTH), num_predict: refused([-1], LENGTH) },
  model: COMMON_PARAMETERS.model,
  input: honoured(ResponseInput, 'A text, or messages, calls of functions, their results, and reasoning.'),
  instructions: honoured(z.string().optional(), 'The system message.'),
  tools: honoured(listOf(ResponseTool, TOOLS).optional(), 'Functions that the model may call. See [tools](#tools).'),
  tool_choice: honoured(ResponseToolChoice.optional(), 'As in chats. Default: `auto`.'),
  parallel_tool_calls: honoured(z.boolean().optional(), '`false`: the answer has at most one call.'),
  text: honoured(ResponseText.optional(), '`format`: as `response_format` of a chat.'),
  reasoning: honoured(ResponseReasoning.optional(), '`effort`: for the chat template, which must know it.'),
  max_output_tokens: honoured(
    Count.min(1).optional(),
    'The most tokens of the answer. Default: the room in the context.',
  ),
  temperature: COMMON_PARAMETERS.temperature,
  top_p: COMMON_PARAMETERS.top_p,
  stream: COMMON_PARAMETERS.stream,
  stream_options: honoured(
    z.object({ include_obfuscation: z.boolean().nullish() }).optional(),
    '`include_obfuscation` has no effect: events are never padded.',
  ),
  stop: COMMON_PARAMETERS.stop,
  cache_salt: COMMON_PARAMETERS.cache_salt,
  max_completion_tokens: refused([], 'use max_output_tokens'),
  max_tokens: refused([], 'use max_output_tokens'),
  messages: refused([], 'send the conversation as input'),
  reasoning_effort: refused([], 'use reasoning.effort'),
  response_format: refused([{ type: 'text' }], 'use text.format'),
  verbosity: refused(['medium'], 'ask for it in the instructions'),
  background: refused([false], 'wait for the answer'),
  context_management: refused([[]], 'shorten the input yourself'),
  conversation: refused([], 'send the earlier items in input'),
  include: inert(
    z.array(z.enum(['reasoning.encrypted_content'])),
    'Items of reasoning have their text, which can be sent back.',
  ),
  max_tool_calls: refused([], 'run the tools yourself'),
  metadata: honoured(z.record(z.string(), z.unknown()).optional(), 'Repeated in the answer.'),
  moderation: refused([], 'moderate the input and the answer yourself'),
  previous_response_id: honoured(
    Name.optional(),
    'A stored response: its conversation comes before `input`. Its `instructions` do not count. See [stored responses](#stored-responses).',
  ),
  prompt: refused([], 'send the text in instructions and input'),
  ...CACHE_PARAMETERS,
  prompt_cache_options: refused([{}, { mode: 'implicit' }], 'pin the prompt with POST /v1/cache/pin'),
  safety_identifier: COMMON_PARAMETERS.safety_identifier,
  service_tier: refused(['auto', 'default'], 'leave it out; API keys have priorities'),
  store: honoured(
    z.boolean().optional(),
    'Whether the answer can be named later. Default: true, where the fleet stores answers. See [stored responses](#stored-responses).',
  ),
  top_logprobs: refused([0], 'send the request to /v1/chat/completions'),
  truncation: refused(['disabled'], 'shorten the input yourself'),
  user: inert(Name, 'Names the user of the client.'),
} as const satisfies ParameterTable;
