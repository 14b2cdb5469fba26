import { z } from 'zod';

/** An item of a conversation of the Responses API, with its text as one string. */

/** Items in one conversation. */
export const CONVERSATION_ITEMS = 4_096;

const id = z.string().optional();

export const ConversationItem = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('message'),
    id,
    role: z.enum(['system', 'developer', 'user', 'assistant']),
    content: z.string(),
  }),
  z.object({ type: z.literal('function_call'), id, call_id: z.string(), name: z.string(), arguments: z.string() }),
  z.object({ type: z.literal('function_call_output'), call_id: z.string(), output: z.string() }),
  z.object({ type: z.literal('reasoning'), id, content: z.string() }),
]);
export type ConversationItem = z.infer<typeof ConversationItem>;
