import { z } from 'zod';
import { CacheControl, InputMessages, SystemText } from '../anthropic/message-input.js';
import { Count, listOf, Name } from '../fields.js';
import { CHAT_NAMES } from './chat-names.js';
import { COMMON_PARAMETERS } from './common-parameters.js';
import { honoured, inert, type ParameterTable, refused } from './parameter.js';

/** Tools in one request, and texts at which the answer ends. */
const TOOLS = 1_024;
const STOPS = 64;

const InputTool = z.object({
  type: z.literal('custom', { error: 'must be "custom"; the fleet runs no tools itself' }).nullish(),
  name: Name.min(1),
  description: z.string().nullish(),
  input_schema: z.record(z.string(), z.unknown(), {
    error: ({ input }) => (input === undefined ? 'is required' : 'must be a JSON Schema'),
  }),
  strict: z.boolean().nullish(),
  cache_control: CacheControl,
});
const OutputFormat = z.object({
  type: z.literal('json_schema', { error: 'must be "json_schema"' }),
  schema: z.record(z.string(), z.unknown(), { error: 'must be a JSON Schema' }),
});
const OutputConfig = z.strictObject({
  format: OutputFormat.nullish(),
  effort: z.enum(['low', 'medium', 'high', 'xhigh', 'max']).nullish(),
});
const InputToolChoice = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('auto'), disable_parallel_tool_use: z.boolean().nullish() }),
    z.object({ type: z.literal('any'), disable_parallel_tool_use: z.boolean().nullish() }),
    z.object({ type: z.literal('tool'), name: Name, disable_parallel_tool_use: z.boolean().nullish() }),
    z.object({ type: z.literal('none') }),
  ],
  { error: 'must have the type auto, any, tool or none' },
);

const Thinking = z.object({ type: z.enum(['enabled', 'adaptive', 'disabled']) });

/** Every known parameter of `POST /v1/messages`. */
export const MESSAGE_PARAMETERS = {
  ...CHAT_NAMES,
  model: COMMON_PARAMETERS.model,
  messages: honoured(
    InputMessages,
    'The conversation. A last message of the assistant is continued. See [kept prompts](#kept-prompts) for `cache_control` of blocks and tools.',
  ),
  system: honoured(SystemText.optional(), 'The system message.'),
  max_tokens: honoured(Count.min(1), 'The most tokens of the answer.'),
  stop_sequences: honoured(
    listOf(z.string().min(1).max(256), STOPS).optional(),
    'Texts at which the answer ends; the answer does not have them.',
  ),
  temperature: COMMON_PARAMETERS.temperature,
  top_p: COMMON_PARAMETERS.top_p,
  top_k: COMMON_PARAMETERS.top_k,
  stream: COMMON_PARAMETERS.stream,
  cache_salt: COMMON_PARAMETERS.cache_salt,
  input: refused([], 'send it as messages'),
  instructions: refused([], 'use system'),
  max_completion_tokens: refused([], 'use max_tokens'),
  max_output_tokens: refused([], 'use max_tokens'),
  parallel_tool_calls: refused([true], 'use tool_choice.disable_parallel_tool_use'),
  reasoning_effort: refused([], 'use output_config.effort'),
  response_format: refused([{ type: 'text' }], 'use output_config.format'),
  stop: refused([[]], 'use stop_sequences'),
  tools: honoured(listOf(InputTool, TOOLS).optional(), 'What the model may call. See [tools](#tools).'),
  tool_choice: honoured(InputToolChoice.optional(), '`any` is the `required` of chats. Default: `auto`.'),
  cache_control: honoured(CacheControl, 'Keeps the whole prompt. See [kept prompts](#kept-prompts).'),
  metadata: COMMON_PARAMETERS.metadata,
  billing_policy: inert(z.unknown(), 'The fleet bills nobody.'),
  diagnostics: inert(z.unknown(), '`usage` and `shoal` of the answer say what was cached.'),
  compaction: refused([], 'shorten the messages yourself'),
  container: refused([], 'leave it out; the fleet runs no code'),
  context_management: refused([], 'shorten the messages yourself'),
  fallback_credit_token: refused([], 'leave it out'),
  fallbacks: refused([], 'send the request again with another model'),
  inference_geo: refused([], 'choose the fleet by its address'),
  mcp_servers: refused([[]], 'call the servers yourself'),
  output_config: honoured(
    OutputConfig.optional(),
    '`format`: a schema that the answer satisfies, see [structured outputs](#structured-outputs). `effort`: for the chat template, which must know `reasoning_effort`; `max` is its `xhigh`.',
  ),
  output_format: honoured(OutputFormat.optional(), 'The older name of `output_config.format`.'),
  service_tier: refused(['auto', 'standard_only'], 'leave it out; API keys have priorities'),
  speed: refused(['standard'], 'leave it out; API keys have priorities'),
  text: refused([], 'use output_config.format'),
  thread: refused([], 'send the whole conversation, as the SDK does with thread: false; its prefix is cached'),
  thinking: honoured(
    Thinking.optional(),
    '`enabled` and `adaptive`: the model reasons; `disabled`: it does not, where its chat template has `enable_thinking` or `thinking`. Without reasoning in its template, only `disabled` is possible. `budget_tokens` is listed in `shoal.ignored`: `max_tokens` bounds reasoning and text together. Default: as the template has it.',
  ),
  verbosity: refused(['medium'], 'ask for it in the system message'),
} as const satisfies ParameterTable;

/** The parameters of `POST /v1/messages/count_tokens`. */
export const COUNT_PARAMETERS = {
  model: MESSAGE_PARAMETERS.model,
  messages: MESSAGE_PARAMETERS.messages,
  system: MESSAGE_PARAMETERS.system,
  tools: MESSAGE_PARAMETERS.tools,
  tool_choice: MESSAGE_PARAMETERS.tool_choice,
  thinking: MESSAGE_PARAMETERS.thinking,
} as const satisfies ParameterTable;
