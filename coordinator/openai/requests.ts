import { z } from 'zod';
import { LayerName } from '../../src/config/grants.js';
import { RETENTION_TTL_MAX_S } from '../retention/retention.js';
import { Count, listOf, Name } from './fields.js';
import { Messages } from './messages.js';
import { CHAT_PARAMETERS, TOOL_PARAMETERS } from './parameters/chat-parameters.js';
import { COMMON_PARAMETERS } from './parameters/common-parameters.js';
import { COMPLETION_PARAMETERS } from './parameters/completion-parameters.js';
import { objectOf } from './parameters/parameter.js';

/** Checkers of request bodies. Unknown fields are ignored; a null field counts as absent. */

/** Token ids to turn into text in one request. */
const DETOKENIZE_TOKENS = 262_144;

export const CompletionRequest = objectOf(COMPLETION_PARAMETERS);
export type CompletionRequest = z.infer<typeof CompletionRequest>;

export const ChatRequest = objectOf(CHAT_PARAMETERS);
export type ChatRequest = z.infer<typeof ChatRequest>;

/** The fields common to completions and chats. */
export type CommonRequest = Omit<CompletionRequest, 'prompt' | 'echo' | 'logprobs'>;

/** How texts of the client become tokens; the names of vLLM and llama.cpp. */
const textFields = {
  add_special_tokens: COMMON_PARAMETERS.add_special_tokens.values,
  parse_special: COMMON_PARAMETERS.parse_special.values,
};
const toolFields = {
  tools: TOOL_PARAMETERS.tools.values,
  tool_choice: TOOL_PARAMETERS.tool_choice.values,
};

/** The fields that the template of a chat sees. */
const templateFields = {
  chat_template_kwargs: CHAT_PARAMETERS.chat_template_kwargs.values,
  documents: CHAT_PARAMETERS.documents.values,
  reasoning_effort: CHAT_PARAMETERS.reasoning_effort.values,
  add_generation_prompt: CHAT_PARAMETERS.add_generation_prompt.values,
  continue_final_message: CHAT_PARAMETERS.continue_final_message.values,
};

export const TokenizeRequest = z.object({
  model: Name.optional(),
  prompt: z.string().optional(),
  messages: Messages.optional(),
  ...toolFields,
  ...textFields,
  ...templateFields,
});
export type TokenizeRequest = z.infer<typeof TokenizeRequest>;

export const DetokenizeRequest = z.object({ model: Name.optional(), tokens: listOf(Count, DETOKENIZE_TOKENS) });

export const ExplainRequest = z.object({
  model: Name.optional(),
  prompt: z.string().optional(),
  messages: Messages.optional(),
  tokens: z.unknown().optional(),
  ...toolFields,
  ...textFields,
  ...templateFields,
  cache_salt: Name.optional(),
});
export type ExplainRequest = z.infer<typeof ExplainRequest>;

export const PinRequest = ExplainRequest.extend({
  /** The layer into which the blocks are published. */
  share: LayerName.optional(),
  ttl_seconds: z.int().min(1).max(RETENTION_TTL_MAX_S).optional(),
});

/** The selection of a purge: the blocks of a tenant, of a salt, of a layer, or of a prompt. */
export const PurgeRequest = ExplainRequest.extend({
  tenant: Name.optional(),
  share: LayerName.optional(),
});
export type PurgeRequest = z.infer<typeof PurgeRequest>;
