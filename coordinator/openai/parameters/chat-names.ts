import { COMMON_PARAMETERS } from './common-parameters.js';
import { OTHER_SERVERS_PARAMETERS } from './other-servers-parameters.js';
import { type ParameterTable, refused } from './parameter.js';
import { REFUSED_PARAMETERS } from './refused-parameters.js';

/** What responses and messages know of the parameters of chats that their own APIs do not have. */

const { seed, top_k, min_p, presence_penalty, frequency_penalty, repetition_penalty, logit_bias } = COMMON_PARAMETERS;
const { min_tokens, stop_token_ids, include_stop_str_in_output, ignore_eos } = COMMON_PARAMETERS;
const { allowed_token_ids, bad_words, skip_special_tokens } = COMMON_PARAMETERS;
const { structured_outputs, guided_json, guided_regex, guided_choice, guided_grammar } = COMMON_PARAMETERS;

/** They mean the same in every API, as in vLLM's responses. */
const SAME_AS_IN_CHATS = {
  ...{ seed, top_k, min_p, presence_penalty, frequency_penalty, repetition_penalty, logit_bias },
  ...{ min_tokens, stop_token_ids, include_stop_str_in_output, ignore_eos },
  ...{ allowed_token_ids, bad_words, skip_special_tokens },
  ...{ structured_outputs, guided_json, guided_regex, guided_choice, guided_grammar },
} as const satisfies ParameterTable;

const CHATS = 'send the request to /v1/chat/completions';

/** The parameters of chats that responses and messages honour as chats do, or refuse. The tables of these APIs override them. */
export const CHAT_NAMES = {
  ...REFUSED_PARAMETERS,
  ...OTHER_SERVERS_PARAMETERS,
  ...SAME_AS_IN_CHATS,
  add_generation_prompt: refused([true], CHATS),
  chat_template: refused([], 'render it yourself and send a prompt to /v1/completions'),
  chat_template_kwargs: refused([{}], CHATS),
  continue_final_message: refused([false], CHATS),
  documents: refused([[]], CHATS),
  enable_thinking: refused([], CHATS),
  echo: refused([false], 'add the input to the answer yourself'),
  function_call: refused(['none', 'auto'], 'use tools and tool_choice'),
  functions: refused([[]], 'use tools and tool_choice'),
  logprob_token_ids: refused([[]], CHATS),
  logprobs: refused([false], CHATS),
  n_probs: refused([0], CHATS),
  n: refused([1], 'send the request several times, or to /v1/chat/completions'),
  prompt_logprobs: refused([], CHATS),
  return_token_ids: refused([false], CHATS),
  return_tokens_as_token_ids: refused([false], CHATS),
  suffix: refused([''], 'append it to the answer yourself'),
  thinking: refused([], CHATS),
  top_logprobs: refused([0], CHATS),
  truncate_prompt_tokens: refused([], 'shorten the input yourself'),
} as const satisfies ParameterTable;
