import { z } from 'zod';
import * as limits from '../../../src/limits.js';
import { CACHE_PARAMETERS } from '../cache-retention.js';
import { Count } from '../fields.js';
import { Messages, ToolChoice, Tools } from '../messages.js';
import { Documents, ReasoningEffort, TemplateVariables } from '../template-fields.js';
import { COMMON_PARAMETERS } from './common-parameters.js';
import { OTHER_SERVERS_PARAMETERS } from './other-servers-parameters.js';
import { honoured, inert, type ParameterTable, refused } from './parameter.js';
import { REFUSED_PARAMETERS } from './refused-parameters.js';

/** The parameters for the tools of a chat. */
export const TOOL_PARAMETERS = {
  tools: honoured(Tools.optional(), 'What the model may call. See [tools](#tools).'),
  tool_choice: honoured(
    ToolChoice.optional(),
    '`none` hides the tools from the model; with `required`, or a tool by its name, the answer is calls that satisfy the schemas. With `allowed_tools` it may, or must, call some of those in the prompt. Default: `auto`.',
  ),
} as const satisfies ParameterTable;

/** Every known parameter of `POST /v1/chat/completions`. */
export const CHAT_PARAMETERS = {
  ...COMMON_PARAMETERS,
  ...REFUSED_PARAMETERS,
  ...OTHER_SERVERS_PARAMETERS,
  ...TOOL_PARAMETERS,
  ...CACHE_PARAMETERS,
  chat_template_kwargs: honoured(
    TemplateVariables.optional(),
    'Variables of the chat template, such as `enable_thinking`. One that the template does not have is a 400.',
  ),
  documents: honoured(Documents.optional(), 'Documents for the chat template, which must know them.'),
  reasoning_effort: honoured(ReasoningEffort.optional(), 'For the chat template, which must know it.'),
  add_generation_prompt: honoured(
    z.boolean().optional(),
    'Whether the prompt ends with the start of an assistant message. Default: true.',
  ),
  continue_final_message: honoured(
    z.boolean().optional(),
    'Whether the answer continues the last message, instead of being a new one; `prefix: true` in the last message, of the assistant, says the same.',
  ),
  parallel_tool_calls: honoured(z.boolean().optional(), '`false`: the answer has at most one call.'),
  messages: honoured(Messages, 'The conversation; roles are system, developer, user, assistant, tool and function.'),
  max_tokens: honoured(COMMON_PARAMETERS.max_tokens.values, 'The older name of `max_completion_tokens`.'),
  max_completion_tokens: honoured(Count.optional(), 'The most tokens of the answer. Default: the room in the context.'),
  logprobs: honoured(z.boolean().optional(), 'Whether the tokens of the answer have log-probabilities.'),
  top_logprobs: honoured(
    z.int().min(0).max(limits.LOGPROBS).optional(),
    'How many alternatives each token has; only with `logprobs`.',
  ),
  audio: refused([], 'ask for text; the model answers in text only'),
  chat_template: refused([], 'render it yourself and send a prompt to /v1/completions'),
  echo: refused([false], 'add the messages to the answer yourself'),
  function_call: refused(['none', 'auto'], 'use tools and tool_choice'),
  functions: refused([[]], 'use tools and tool_choice'),
  include_reasoning: refused([true], 'leave it out; the answer has all of the text'),
  media_io_kwargs: refused([{}], 'send text; the model supports text only'),
  mm_processor_kwargs: refused([{}], 'send text; the model supports text only'),
  modalities: refused([['text']], 'ask for text; the model answers in text only'),
  moderation: refused([], 'moderate the messages and the answer yourself'),
  output_config: refused([], 'use reasoning_effort and response_format'),
  output_format: refused([], 'use response_format'),
  prompt: refused([], 'send the text as a message, or to /v1/completions'),
  prediction: inert(z.unknown(), 'A hint that makes answers quicker on other servers.'),
  suffix: refused([''], 'append it to the answer yourself'),
  verbosity: refused(['medium'], 'ask for it in the system message'),
  web_search_options: refused([], 'search yourself and put the results into messages'),
} as const satisfies ParameterTable;
