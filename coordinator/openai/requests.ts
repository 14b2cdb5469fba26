import { z } from 'zod';
import { LayerName } from '../../src/config/grants.js';
import { InvalidRequest } from '../../src/errors.js';
import * as limits from '../../src/limits.js';
import { isWellFormed } from '../../src/well-formed.js';
import { RETENTION_TTL_MAX_S } from '../retention/retention.js';
import { fieldError } from './field-error.js';

/** Schemas of request bodies. Unknown fields are ignored; a null field counts as absent. */

/** Token ids to turn into text in one request. */
const DETOKENIZE_TOKENS = 262_144;
/** Stop strings in a request, and the length of each. */
const STOP_STRINGS = 64;
const STOP_STRING_CHARS = 256;
/** Messages in a chat request. */
const CHAT_MESSAGES = 4096;
/** Tools in a chat request, and calls in a message. */
const TOOLS = 1024;

/** An array of at most `max` items. Checks the length first, so that an array of millions is refused at once. */
function listOf<T>(item: z.ZodType<T>, max: number) {
  return z
    .unknown()
    .superRefine((value, context) => {
      if (!Array.isArray(value) || value.length <= max) return;
      context.addIssue({ code: 'custom', message: `must have at most ${max} items; has ${value.length}` });
    })
    .pipe(z.array(item));
}

const Name = z
  .string()
  .max(limits.CLIENT_NAME_CHARS)
  .refine(isWellFormed, 'must be well-formed Unicode; has half of a surrogate pair');
const Count = z.int().min(0);
const Penalty = z.number().min(-2).max(2);

const LogitBias = z
  .unknown()
  .superRefine((value, context) => {
    const entries = typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
    if (entries <= limits.LOGIT_BIAS_ENTRIES) return;
    context.addIssue({
      code: 'custom',
      message: `must have at most ${limits.LOGIT_BIAS_ENTRIES} entries; has ${entries}`,
    });
  })
  .pipe(z.record(z.string().regex(/^\d{1,9}$/, 'must be a token id'), z.number().min(-100).max(100)));

const Stop = z
  .unknown()
  .transform((value) => (typeof value === 'string' ? [value] : value))
  .pipe(listOf(z.string().min(1).max(STOP_STRING_CHARS), STOP_STRINGS));

const common = {
  model: Name.optional(),
  max_tokens: Count.optional(),
  min_tokens: Count.optional(),
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().gt(0).max(1).optional(),
  /** -1 and 0 both mean off, as in vLLM. */
  top_k: z.int().min(-1).optional(),
  min_p: z.number().min(0).max(1).optional(),
  /** 64 bits, within the precision of a JSON number. */
  seed: z
    .number()
    .min(-(2 ** 63))
    .max(2 ** 64)
    .refine(Number.isInteger, 'must be an integer')
    .optional(),
  presence_penalty: Penalty.optional(),
  frequency_penalty: Penalty.optional(),
  repetition_penalty: z.number().gt(0).max(10).optional(),
  logit_bias: LogitBias.optional(),
  stop: Stop.optional(),
  stop_token_ids: listOf(Count, limits.STOP_TOKEN_IDS).optional(),
  ignore_eos: z.boolean().optional(),
  n: z.int().min(1).max(limits.CHOICES_PER_REQUEST).optional(),
  stream: z.boolean().optional(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).optional(),
  cache_salt: Name.optional(),
  prompt_cache_key: Name.optional(),
  user: Name.optional(),
};

const TextPart = z.object({ type: z.literal('text'), text: z.string() });
/** An assistant's refusal, as other models' answers contain it. */
const RefusalPart = z.object({ type: z.literal('refusal'), refusal: z.string() });

function textOf(part: z.infer<typeof TextPart> | z.infer<typeof RefusalPart>): string {
  return part.type === 'text' ? part.text : part.refusal;
}

/** A string or an array of text parts, as one string, in which each part has a line of its own. */
const Content = z
  .union([z.string(), listOf(z.union([TextPart, RefusalPart]), CHAT_MESSAGES), z.null()], {
    error: 'must be a string or an array of parts {"type":"text","text":…}; the model supports text only',
  })
  .transform((content) => (Array.isArray(content) ? content.map(textOf).join('\n') : (content ?? '')));

/** Role in the API to role in the chat template, which knows one name for each. */
const ROLES = {
  system: 'system',
  developer: 'system',
  user: 'user',
  assistant: 'assistant',
  tool: 'tool',
  function: 'tool',
} as const;

/** A call in the history of a conversation. The model's template has the last word on its form. */
const ToolCall = z.looseObject({
  type: z.literal('function').optional(),
  function: z.looseObject({ name: Name, arguments: z.union([z.string(), z.looseObject({})]).optional() }),
});
const Tool = z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: Name }) });

const Message = z
  .object({
    role: z.enum(Object.keys(ROLES) as (keyof typeof ROLES)[]).transform((role) => ROLES[role]),
    content: Content.optional(),
    name: Name.nullish().transform((name) => name ?? undefined),
    tool_calls: listOf(ToolCall, TOOLS).nullish(),
    tool_call_id: Name.nullish(),
  })
  // A message of an assistant that calls a tool may have no content.
  .refine(({ role, content }) => role === 'assistant' || content !== undefined, {
    path: ['content'],
    error: 'is required',
  })
  .transform(({ tool_calls, tool_call_id, content, ...message }) => ({
    ...message,
    content: content ?? '',
    ...(tool_calls && tool_calls.length > 0 ? { toolCalls: tool_calls } : {}),
    ...(tool_call_id ? { toolCallId: tool_call_id } : {}),
  }));
export type RequestMessage = z.infer<typeof Message>;

const Messages = listOf(Message, CHAT_MESSAGES).refine((messages) => messages.length > 0, 'must not be empty');

/** What the model may call. An answer is text: a call stands in it as the model writes it. */
const toolFields = {
  tools: listOf(Tool, TOOLS).optional(),
  tool_choice: z
    .enum(['none', 'auto'], { error: 'must be "none" or "auto"; a model cannot be made to call a tool' })
    .optional(),
};

/** How texts of the client become tokens; the names of vLLM and llama.cpp. */
const textFields = {
  add_special_tokens: z.boolean().optional(),
  parse_special: z.boolean().optional(),
};

export const CompletionRequest = z.object({
  ...common,
  /** Checked by `PromptReader.readPrompts`: zod is too slow for arrays of millions of ids. */
  prompt: z.unknown().optional(),
  echo: z.boolean().optional(),
  ...textFields,
  logprobs: z.int().min(0).max(limits.LOGPROBS).optional(),
});
export type CompletionRequest = z.infer<typeof CompletionRequest>;

export const ChatRequest = z.object({
  ...common,
  messages: Messages,
  max_completion_tokens: Count.optional(),
  ...toolFields,
  ...textFields,
  logprobs: z.boolean().optional(),
  top_logprobs: z.int().min(0).max(limits.LOGPROBS).optional(),
});
export type ChatRequest = z.infer<typeof ChatRequest>;

/** The fields common to completions and chats. */
export type CommonRequest = Omit<CompletionRequest, 'prompt' | 'echo' | 'logprobs'>;

export const TokenizeRequest = z.object({
  model: Name.optional(),
  prompt: z.string().optional(),
  messages: Messages.optional(),
  ...toolFields,
  ...textFields,
  add_generation_prompt: z.boolean().optional(),
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
  cache_salt: Name.optional(),
});
export type ExplainRequest = z.infer<typeof ExplainRequest>;

export const PinRequest = ExplainRequest.extend({
  add_generation_prompt: z.boolean().optional(),
  /** The layer into which the blocks are published. */
  share: LayerName.optional(),
  ttl_seconds: z.int().min(1).max(RETENTION_TTL_MAX_S).optional(),
});

/** What a purge drops: a tenant's blocks, those of a salt, those that were published into a layer, or those of a prompt. */
export const PurgeRequest = ExplainRequest.extend({
  add_generation_prompt: z.boolean().optional(),
  tenant: Name.optional(),
  share: LayerName.optional(),
});
export type PurgeRequest = z.infer<typeof PurgeRequest>;

/** Parses a body with `schema`. Throws `InvalidRequest` that names the first wrong field. */
export function checkBody<T>(schema: z.ZodType<T>, body: unknown): T {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new InvalidRequest('body: must be a JSON object');
  }
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
  const result = schema.safeParse(given, { error: fieldError });
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const param = pathOf(issue.path);
  throw new InvalidRequest(`${param}: ${issue.message}`, param);
}

/** A path in the form `messages[2].content`. */
function pathOf(path: readonly PropertyKey[]): string {
  return path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i > 0 ? '.' : ''}${String(key)}`)).join('');
}
