import { z } from 'zod';
import * as limits from '../../../src/limits.js';
import { COMMON_PARAMETERS } from './common-parameters.js';
import { OTHER_SERVERS_PARAMETERS } from './other-servers-parameters.js';
import { honoured, type ParameterTable, refused } from './parameter.js';
import { REFUSED_PARAMETERS } from './refused-parameters.js';

/** The schema of a client's prompt. `PromptReader.readPrompts` checks it: zod is too slow for arrays of millions of ids. */
const Prompt = z.unknown().meta({
  override: {
    anyOf: [
      { type: 'string', minLength: 1 },
      { type: 'array', minItems: 1, items: { type: 'string', minLength: 1 } },
      { type: 'array', minItems: 1, items: { type: 'integer', minimum: 0 } },
      { type: 'array', minItems: 1, items: { type: 'array', minItems: 1, items: { type: 'integer', minimum: 0 } } },
    ],
  },
});

const CHATS = 'send the request to /v1/chat/completions';

/** Every known parameter of `POST /v1/completions`. */
export const COMPLETION_PARAMETERS = {
  ...COMMON_PARAMETERS,
  ...REFUSED_PARAMETERS,
  ...OTHER_SERVERS_PARAMETERS,
  prompt: honoured(Prompt.optional(), 'One or several prompts, as text or token ids.'),
  max_tokens: honoured(COMMON_PARAMETERS.max_tokens.values, 'The most tokens of the answer. Default: 16.'),
  max_completion_tokens: honoured(
    COMMON_PARAMETERS.max_tokens.values,
    'The newer name of chats for `max_tokens`. It wins if both are given.',
  ),
  echo: honoured(z.boolean().optional(), 'Whether the answer begins with the prompt.'),
  logprobs: honoured(
    z.int().min(0).max(limits.LOGPROBS).optional(),
    'How many alternatives each token of the answer has, with log-probabilities.',
  ),
  add_generation_prompt: refused([], CHATS),
  chat_template: refused([], 'render it yourself and send it as prompt'),
  continue_final_message: refused([false], CHATS),
  function_call: refused(['none', 'auto'], CHATS),
  functions: refused([[]], CHATS),
  include_reasoning: refused([true], 'leave it out; the answer has all of the text'),
  input: refused([], 'send it as prompt'),
  instructions: refused([], 'write them into the prompt'),
  max_output_tokens: refused([], 'use max_tokens'),
  messages: refused([], CHATS),
  parallel_tool_calls: refused([true], CHATS),
  reasoning_effort: refused([], CHATS),
  suffix: refused([''], 'append it to the answer yourself'),
  tool_choice: refused(['none', 'auto'], CHATS),
  text: refused([], 'use response_format'),
  tools: refused([[]], CHATS),
  top_logprobs: refused([0], 'use logprobs'),
  verbosity: refused(['medium'], 'ask for it in the prompt'),
} as const satisfies ParameterTable;
