import { z } from 'zod';

/** The answers of the routes that generate, as the OpenAPI document describes them. Answers may have further fields. */

const Count = z.int().min(0);
const Usage = z.looseObject({ prompt_tokens: Count, completion_tokens: Count, total_tokens: Count });
const head = <T extends string>(object: T) => ({
  ...{ id: z.string(), object: z.literal(object), created: Count, model: z.string() },
  ...{ usage: Usage, shoal: z.looseObject({}) },
});
const choice = { index: Count, finish_reason: z.enum(['stop', 'length', 'tool_calls']) };
const Call = z.looseObject({
  ...{ id: z.string(), type: z.literal('function') },
  function: z.looseObject({ name: z.string(), arguments: z.string() }),
});
const AnswerMessage = z.looseObject({
  role: z.literal('assistant'),
  content: z.string().nullable(),
  reasoning_content: z.string().optional(),
  tool_calls: z.array(Call).optional(),
});

export const CHAT_ANSWER = z.looseObject({
  ...head('chat.completion'),
  choices: z.array(z.looseObject({ ...choice, message: AnswerMessage })),
});

export const COMPLETION_ANSWER = z.looseObject({
  ...head('text_completion'),
  choices: z.array(z.looseObject({ ...choice, text: z.string() })),
});

export const RESPONSE_ANSWER = z.looseObject({
  ...{ id: z.string(), object: z.literal('response'), created_at: Count, model: z.string() },
  status: z.enum(['completed', 'incomplete']),
  output: z.array(
    z.looseObject({ id: z.string(), type: z.enum(['message', 'reasoning', 'function_call']), status: z.string() }),
  ),
  usage: z.looseObject({ input_tokens: Count, output_tokens: Count, total_tokens: Count }),
  store: z.boolean(),
});

export const INPUT_ITEMS_ANSWER = z.looseObject({
  object: z.literal('list'),
  data: z.array(z.looseObject({ id: z.string(), type: z.string() })),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});

export const MESSAGE_ANSWER = z.looseObject({
  ...{ id: z.string(), type: z.literal('message'), role: z.literal('assistant'), model: z.string() },
  content: z.array(z.looseObject({ type: z.enum(['text', 'thinking', 'tool_use']) })),
  stop_reason: z.enum(['end_turn', 'max_tokens', 'stop_sequence', 'tool_use']),
  stop_sequence: z.string().nullable(),
  usage: z.looseObject({ input_tokens: z.int(), output_tokens: Count, cache_read_input_tokens: Count }),
});

export const COUNT_ANSWER = z.looseObject({ input_tokens: Count });

const Model = z.looseObject({
  ...{ id: z.string(), object: z.literal('model'), created: Count, owned_by: z.string(), max_model_len: Count },
});
export const MODEL_ANSWER = Model;
export const MODELS_ANSWER = z.looseObject({ object: z.literal('list'), data: z.array(Model) });
