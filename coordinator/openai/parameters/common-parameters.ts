import { z } from 'zod';
import * as limits from '../../../src/limits.js';
import {
  GuidedChoice,
  GuidedGrammar,
  GuidedJson,
  GuidedRegex,
  ResponseFormat,
  StructuredOutputs,
} from '../constraint-fields.js';
import { BadWords, Count, LogitBias, listOf, Name, Penalty, Seed, Stop } from '../fields.js';
import { honoured, inert, type ParameterTable } from './parameter.js';

const StreamOptions = z.object({
  include_usage: z.boolean().nullish(),
  continuous_usage_stats: z.boolean().nullish(),
  include_obfuscation: z.boolean().nullish(),
});

/** The parameters of completions and chats that the fleet honours in both, or that concern no answer. */
export const COMMON_PARAMETERS = {
  model: honoured(Name.optional(), 'The name of the served model, or one of its aliases. Default: the served model.'),
  max_tokens: honoured(Count.optional(), 'The most tokens of the answer.'),
  min_tokens: honoured(Count.optional(), 'Tokens before which the answer ends neither by itself nor at a stop.'),
  temperature: honoured(z.number().min(0).max(2).optional(), '0 always takes the most likely token.'),
  top_p: honoured(
    z.number().gt(0).max(1).optional(),
    'Keeps the most likely tokens that together have this probability.',
  ),
  top_k: honoured(z.int().min(-1).optional(), 'Keeps this many tokens; -1 and 0 keep all.'),
  min_p: honoured(
    z.number().min(0).max(1).optional(),
    'Keeps tokens at least this times as likely as the most likely.',
  ),
  seed: honoured(Seed.optional(), 'The same seed gives the same answer, on any worker. Default: random.'),
  presence_penalty: honoured(Penalty.optional(), 'Taken from the logit of each token that the answer has.'),
  frequency_penalty: honoured(Penalty.optional(), 'Taken from the logit of a token as often as the answer has it.'),
  repetition_penalty: honoured(
    z.number().min(limits.LEAST_REPETITION_PENALTY).max(10).optional(),
    'Makes tokens of prompt and answer less likely; 1 is off.',
  ),
  logit_bias: honoured(LogitBias.optional(), 'Numbers that are added to logits, by token id.'),
  allowed_token_ids: honoured(
    listOf(Count, limits.ALLOWED_TOKEN_IDS)
      .refine((ids) => ids.length > 0, 'must not be empty')
      .optional(),
    'The only tokens that the answer may have. It can end by itself only if they have a token that ends it.',
  ),
  bad_words: honoured(
    BadWords.optional(),
    'Texts that the answer may not have, at its beginning or after a blank, in the tokens that the tokenizer gives them.',
  ),
  prompt_logprobs: honoured(
    z.int().min(0).max(limits.LOGPROBS).optional(),
    'How many alternatives each token of the prompt has, with log-probabilities and ranks by token id, in `prompt_logprobs` of the answer. The whole prompt is then computed. Not with `stream`, nor with `echo` and `logprobs`.',
  ),
  logprob_token_ids: honoured(
    listOf(Count, limits.LOGPROBS).optional(),
    'The tokens that log-probabilities have as alternatives, in place of the most likely ones; only with `logprobs`.',
  ),
  stop: honoured(Stop.optional(), 'Texts at which the answer ends; the answer does not have them.'),
  include_stop_str_in_output: honoured(
    z.boolean().optional(),
    'Whether the text keeps the stop string, or the stop token of `stop_token_ids`, that ends it.',
  ),
  stop_token_ids: honoured(listOf(Count, limits.STOP_TOKEN_IDS).optional(), 'Tokens at which the answer ends.'),
  ignore_eos: honoured(z.boolean().optional(), 'Whether the answer continues after the token that ends a text.'),
  response_format: honoured(
    ResponseFormat.optional(),
    '`json_object`: the answer is a JSON object, of its `schema` if it has one; `json_schema`: it satisfies a schema. See [structured outputs](#structured-outputs).',
  ),
  structured_outputs: honoured(
    StructuredOutputs.optional(),
    'One of `json` (a schema), `regex`, `choice` (a list of texts), `grammar` and `json_object`, as in vLLM.',
  ),
  guided_json: honoured(GuidedJson.optional(), 'The older name of `structured_outputs.json`.'),
  guided_regex: honoured(GuidedRegex.optional(), 'The older name of `structured_outputs.regex`.'),
  guided_choice: honoured(GuidedChoice.optional(), 'The older name of `structured_outputs.choice`.'),
  guided_grammar: honoured(GuidedGrammar.optional(), 'The older name of `structured_outputs.grammar`.'),
  n: honoured(z.int().min(1).max(limits.CHOICES_PER_PROMPT).optional(), 'Choices for each prompt. Default: 1.'),
  stream: honoured(z.boolean().optional(), 'Whether the answer is sent as server-sent events while it grows.'),
  stream_options: honoured(
    StreamOptions.optional(),
    '`include_usage`: whether the last chunk has the usage; `continuous_usage_stats`: with it, whether each chunk has the usage so far. `include_obfuscation` has no effect: chunks are never padded.',
  ),
  cache_salt: honoured(Name.optional(), 'Prompts with different salts share no cached prefix.'),
  return_token_ids: honoured(
    z.boolean().optional(),
    'Whether the answer has the ids of its tokens (`token_ids`) and of the prompt (`prompt_token_ids`).',
  ),
  return_tokens_as_token_ids: honoured(
    z.boolean().optional(),
    'Whether log-probabilities name tokens as `token_id:ID`.',
  ),
  skip_special_tokens: honoured(z.boolean().optional(), 'Whether the text leaves out special tokens. Default: true.'),
  add_special_tokens: honoured(z.boolean().optional(), 'See [special tokens](#special-tokens).'),
  parse_special: honoured(z.boolean().optional(), 'See [special tokens](#special-tokens).'),
  truncate_prompt_tokens: honoured(
    z.int().min(1).max(limits.PROMPT_TOKENS).optional(),
    'Keeps only this many tokens of a longer prompt, from its end.',
  ),
  truncation_side: honoured(
    z.enum(['left', 'right']).optional(),
    '`right`: `truncate_prompt_tokens` takes the tokens from the beginning. Default: `left`.',
  ),
  metadata: inert(z.record(z.string(), z.unknown()), 'Describes the request. Nothing keeps it.'),
  prompt_cache_key: inert(Name, 'A hint for routing. Prefixes are found by their content.'),
  safety_identifier: inert(z.string(), 'Names the user of the client.'),
  spaces_between_special_tokens: inert(z.boolean(), 'Tokens are joined as the tokenizer joins them.'),
  user: inert(Name, 'Names the user of the client.'),
} as const satisfies ParameterTable;
