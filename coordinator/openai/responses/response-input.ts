import { z } from 'zod';
import { listOf, Name } from '../fields.js';
import { Conversation } from '../message/conversation.js';
import type { RequestMessage } from '../messages.js';
import { CONVERSATION_ITEMS, type ConversationItem } from './conversation-item.js';

/** The input of the model in a request of the Responses API. */

const TEXT_ONLY =
  'must be a string or parts of the type input_text, output_text or refusal; the model supports text only';
const Part = z.discriminatedUnion(
  'type',
  [
    z.object({
      type: z.enum(['input_text', 'output_text', 'text', 'summary_text', 'reasoning_text']),
      text: z.string(),
    }),
    z.object({ type: z.literal('refusal'), refusal: z.string() }),
  ],
  { error: TEXT_ONLY },
);
const Text = z
  .union([z.string(), listOf(Part, CONVERSATION_ITEMS)], { error: TEXT_ONLY })
  .transform((text) =>
    typeof text === 'string' ? text : text.map((part) => ('text' in part ? part.text : part.refusal)).join('\n'),
  );

/** An item of a request: an item of the conversation, or a reference to one that the fleet has stored. */
export type InputItem = ConversationItem | { readonly type: 'item_reference'; readonly id: string };

const Item = z.discriminatedUnion(
  'type',
  [
    z.object({
      type: z.literal('message').optional().default('message'),
      role: z.enum(['system', 'developer', 'user', 'assistant']),
      content: Text,
    }),
    z.object({ type: z.literal('function_call'), call_id: Name, name: Name, arguments: z.string() }),
    z.object({ type: z.literal('function_call_output'), call_id: Name, output: Text }),
    z.object({ type: z.literal('reasoning'), summary: Text.nullish(), content: Text.nullish() }),
    z.object({ type: z.literal('item_reference'), id: Name }),
  ],
  { error: 'must be a message with text, a function_call, a function_call_output, a reasoning or an item_reference' },
);

const asMessages = (content: string) => (content === '' ? [] : [{ role: 'user', content }]);

export const ResponseInput = z
  .unknown()
  .transform((input) => (typeof input === 'string' ? asMessages(input) : input))
  .pipe(listOf(Item, CONVERSATION_ITEMS).refine((input) => input.length > 0, 'must not be empty'))
  .transform((items) => items.map(plain))
  .meta({
    override: {
      anyOf: [
        { type: 'string', minLength: 1 },
        { type: 'array', minItems: 1, maxItems: CONVERSATION_ITEMS, items: { type: 'object' } },
      ],
    },
  });

/** An item of a request with its text as one string. */
function plain(item: z.infer<typeof Item>): InputItem {
  if (item.type !== 'reasoning') return item;
  return { type: item.type, content: item.content || item.summary || '' };
}

/** The messages of a conversation. */
export function responseMessages(
  items: readonly ConversationItem[],
  instructions: string | undefined,
): RequestMessage[] {
  const conversation = new Conversation();
  if (instructions !== undefined && instructions !== '') conversation.addText('system', instructions);
  for (const item of items) addItem(conversation, item);
  return conversation.messages;
}

function addItem(conversation: Conversation, item: ConversationItem): void {
  switch (item.type) {
    case 'function_call':
      conversation.addCall(item.call_id, item.name, item.arguments);
      return;
    case 'function_call_output':
      conversation.addResult(item.call_id, item.output);
      return;
    case 'reasoning':
      conversation.addReasoning(item.content);
      return;
    case 'message':
      conversation.addText(item.role === 'developer' ? 'system' : item.role, item.content);
  }
}
