import { z } from 'zod';
import { asWritten, listOf, Name, notEmpty } from './fields.js';

/** Checkers of the messages and tools of a chat. */

/** Messages in a chat request. */
const CHAT_MESSAGES = 4096;
/** Tools in a chat request, and calls in a message. */
const TOOLS = 1024;

const TextPart = z.object({ type: z.literal('text'), text: z.string() });
/** An assistant's refusal, as other models' answers contain it. */
const RefusalPart = z.object({ type: z.literal('refusal'), refusal: z.string() });

function textOf(part: z.infer<typeof TextPart> | z.infer<typeof RefusalPart>): string {
  return part.type === 'text' ? part.text : part.refusal;
}

/** A string or an array of text parts, as one string with the parts joined by newlines; or null. */
const Content = z
  .union([z.string(), listOf(z.discriminatedUnion('type', [TextPart, RefusalPart]), CHAT_MESSAGES), z.null()], {
    error: 'must be a string or an array of parts {"type":"text","text":…}; the model supports text only',
  })
  .transform((content) => (Array.isArray(content) ? content.map(textOf).join('\n') : content));

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
const Tool = z.looseObject({
  type: z.literal('function'),
  function: z.looseObject({
    name: Name.min(1),
    parameters: z.record(z.string(), z.unknown(), { error: 'must be a JSON Schema' }).nullish(),
    strict: z.boolean().nullish(),
  }),
});
export const Tools = listOf(asWritten(Tool), TOOLS);

const NamedTool = z.object({ type: z.literal('function'), function: z.object({ name: Name }) });

/** Which tools the model may call, or must. */
export const ToolChoice = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    NamedTool,
    z.object({
      type: z.literal('allowed_tools'),
      allowed_tools: z.object({ mode: z.enum(['auto', 'required']), tools: notEmpty(listOf(NamedTool, TOOLS)) }),
    }),
  ],
  {
    error:
      'must be "none", "auto", "required", {"type":"function","function":{"name":…}} or {"type":"allowed_tools","allowed_tools":{"mode":…,"tools":[…]}}',
  },
);

/** A member of a message that other servers honour and shoal does not. */
function absent(error: string) {
  return z
    .unknown()
    .refine((value) => value === null || value === undefined, error)
    .optional();
}

const Message = z
  .object({
    role: z.enum(Object.keys(ROLES) as (keyof typeof ROLES)[]).transform((role) => ROLES[role]),
    content: Content.optional(),
    name: Name.nullish().transform((name) => name ?? undefined),
    tool_calls: listOf(asWritten(ToolCall), TOOLS).nullish(),
    tool_call_id: Name.nullish(),
    reasoning_content: z.string().nullish(),
    // The name that newer servers give it.
    reasoning: z.string().nullish(),
    prefix: z.boolean().nullish(),
    audio: absent('is not supported; the model supports text only'),
    function_call: absent('is not supported; write the call as an item of tool_calls'),
  })
  // A message of an assistant that calls a tool may have no content.
  .refine(({ role, content }) => role === 'assistant' || content !== undefined, {
    path: ['content'],
    error: 'is required',
  })
  .refine(({ role, prefix }) => role === 'assistant' || prefix !== true, {
    path: ['prefix'],
    error: 'must be in a message of the assistant',
  })
  .transform(({ role, name, content, tool_calls, tool_call_id, reasoning_content, reasoning, prefix }) => ({
    role,
    name,
    // Only an assistant's message has a meaning without content, and templates ask for it.
    content: content ?? (role === 'assistant' ? null : ''),
    ...(tool_calls && tool_calls.length > 0 ? { toolCalls: tool_calls } : {}),
    ...(tool_call_id ? { toolCallId: tool_call_id } : {}),
    ...(reasoning_content || reasoning ? { reasoning: reasoning_content || reasoning || '' } : {}),
    // The answer continues it.
    ...(prefix ? { isPrefix: true } : {}),
  }));
export type RequestMessage = z.infer<typeof Message>;

export const Messages = listOf(Message, CHAT_MESSAGES).refine((messages) => messages.length > 0, 'must not be empty');
