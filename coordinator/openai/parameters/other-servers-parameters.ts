import { z } from 'zod';
import { inert, type ParameterTable, refused } from './parameter.js';

const SAMPLERS = 'use temperature, top_p, top_k, min_p and the penalties';

/** Parameters of completions and chats that change answers on SGLang, llama.cpp or the servers of model vendors, and that neither OpenAI nor vLLM has. */
export const OTHER_SERVERS_PARAMETERS = {
  cache_prompt: inert(z.boolean(), 'Prefixes are always cached.'),
  custom_logit_processor: refused([], 'use logit_bias'),
  dry_multiplier: refused([0], SAMPLERS),
  dynatemp_range: refused([0], SAMPLERS),
  ebnf: refused([], 'use structured_outputs.grammar'),
  grammar: refused([''], 'use structured_outputs.grammar'),
  enable_thinking: refused([], 'use chat_template_kwargs'),
  extra_body: refused([{}], 'send its members as fields of the request'),
  id_slot: refused([-1], 'leave it out; the fleet finds the worker with the prefix'),
  json_schema: refused([{}], 'use response_format or structured_outputs.json'),
  lora: refused([[]], 'name the adapter as model'),
  lora_path: refused([], 'name the adapter as model'),
  max_new_tokens: refused([], 'use max_tokens'),
  mirostat: refused([0], SAMPLERS),
  n_predict: refused([-1], 'use max_tokens'),
  num_predict: refused([-1], 'use max_tokens'),
  n_probs: refused([0], 'use logprobs'),
  no_stop_trim: refused([false], 'use include_stop_str_in_output'),
  random_seed: refused([], 'use seed'),
  reasoning: refused([], 'use reasoning_effort'),
  reasoning_format: refused(['auto'], 'start the coordinators with --reasoning-parser'),
  regex: refused([], 'use structured_outputs.regex'),
  repeat_penalty: refused([1], 'use repetition_penalty'),
  return_hidden_states: refused([false], 'leave it out'),
  samplers: refused([], SAMPLERS),
  separate_reasoning: refused([true], 'start the coordinators with --reasoning-parser none'),
  session_params: refused([], 'send the whole prompt; its prefix is cached'),
  stop_sequences: refused([[]], 'use stop'),
  stop_regex: refused([[]], 'use stop'),
  thinking: refused([], 'use chat_template_kwargs'),
  thinking_budget: refused([], 'use max_tokens'),
  top_n_sigma: refused([-1], SAMPLERS),
  typical_p: refused([1], SAMPLERS),
  xtc_probability: refused([0], SAMPLERS),
} as const satisfies ParameterTable;
