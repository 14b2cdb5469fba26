import { type ParameterTable, refused } from './parameter.js';

/** The parameters of OpenAI's and vLLM's completions and chats that no route of this fleet honours. */
export const REFUSED_PARAMETERS = {
  best_of: refused([1], 'use n and choose among the choices'),
  chat_template_kwargs: refused([{}], 'render the template yourself and send a prompt to /v1/completions'),
  documents: refused([[]], 'put the documents into messages'),
  guided_decoding_backend: refused([], 'leave it out'),
  guided_whitespace_pattern: refused([], 'leave it out'),
  kv_transfer_params: refused([{}], 'leave it out; workers share prefixes by themselves'),
  length_penalty: refused([1], 'leave it out; it concerns beam search'),
  logits_processors: refused([[]], 'use logit_bias'),
  priority: refused([0], 'give the API key a priority in the keys file'),
  prompt_cache_options: refused([{}, { mode: 'implicit' }], 'pin the prompt with POST /v1/cache/pin'),
  prompt_cache_retention: refused(['in_memory'], 'pin the prompt with POST /v1/cache/pin'),
  prompt_embeds: refused([], 'send text or token ids'),
  repetition_detection: refused([], 'use repetition_penalty'),
  request_id: refused([], 'send the header x-request-id'),
  service_tier: refused(['auto', 'default'], 'leave it out; API keys have priorities'),
  store: refused([false], 'keep the answer yourself; the fleet stores no answers'),
  structural_tag: refused([], 'use response_format or structured_outputs with json, regex, choice or grammar'),
  thinking_token_budget: refused([], 'use max_tokens'),
  use_beam_search: refused([false], 'use n'),
  vllm_xargs: refused([{}], 'leave it out'),
} as const satisfies ParameterTable;
