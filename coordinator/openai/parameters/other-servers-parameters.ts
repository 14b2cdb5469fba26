import { z } from 'zod';
import { inert, type ParameterTable, refused } from './parameter.js';

const SAMPLERS = 'use temperature, top_p, top_k, min_p and the penalties';

/** What SGLang's and llama.cpp's servers know in completions and chats beyond OpenAI's and vLLM's parameters, as far as answers depend on it. */
export const OTHER_SERVERS_PARAMETERS = {
  cache_prompt: inert(z.boolean(), 'Prefixes are always cached.'),
  custom_logit_processor: refused([], 'use logit_bias'),
  dry_multiplier: refused([0], SAMPLERS),
  dynatemp_range: refused([0], SAMPLERS),
  ebnf: refused([], 'use structured_outputs.grammar'),
  grammar: refused([''], 'use structured_outputs.grammar'),
  id_slot: refused([-1], 'leave it out; the fleet finds the worker with the prefix'),
  json_schema: refused([{}], 'use response_format or structured_outputs.json'),
  lora_path: refused([], 'name the adapter as model'),
  mirostat: refused([0], SAMPLERS),
  n_predict: refused([-1], 'use max_tokens'),
  n_probs: refused([0], 'use logprobs'),
  no_stop_trim: refused([false], 'use include_stop_str_in_output'),
  regex: refused([], 'use structured_outputs.regex'),
  repeat_penalty: refused([1], 'use repetition_penalty'),
  return_hidden_states: refused([false], 'leave it out'),
  samplers: refused([], SAMPLERS),
  separate_reasoning: refused([true], 'start the coordinators with --reasoning-parser none'),
  session_params: refused([], 'send the whole prompt; its prefix is cached'),
  stop_regex: refused([[]], 'use stop'),
  typical_p: refused([1], SAMPLERS),
  xtc_probability: refused([0], SAMPLERS),
} as const satisfies ParameterTable;
