import { z } from 'zod';
import { listOf, Name } from '../fields.js';
import { Conversation } from '../message/conversation.js';
import type { RequestMessage } from '../messages.js';

/** The input of the model in a request of the Responses API. */

/** Items in one request, and parts of one. */
const ITEMS = 4_096;

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
  .union([z.string(), listOf(Part, ITEMS)], { error: TEXT_ONLY })
  .transform((text) =>
    typeof text === 'string' ? text : text.map((part) => ('text' in part ? part.text : part.refusal)).join('\n'),
  );

const Item = z.discriminatedUnion(
  'type',
  [
    z.object({
      type: z.literal('message').optional(),
      role: z.enum(['system', 'developer', 'user', 'assistant']),
      content: Text,
    }),
    z.object({ type: z.literal('function_call'), call_id: Name, name: Name, arguments: z.string() }),
    z.object({ type: z.literal('function_call_output'), call_id: Name, output: Text }),
    z.object({ type: z.literal('reasoning'), summary: Text.nullish(), content: Text.nullish() }),
  ],
  { error: 'must be a message with text, a function_call, a function_call_output or a reasoning' },
);

export const ResponseInput = z
  .unknown()
  .transform((input) => (typeof input === 'string' && input !== '' ? [{ role: 'user', content: input }] : input))
  .pipe(listOf(Item, ITEMS).refine((input) => input.length > 0, 'must not be empty'))
  .meta({
    override: {
      anyOf: [
        { type: 'string', minLength: 1 },
        { type: 'array', minItems: 1, maxItems: ITEMS, items: { type: 'object' } },
      ],
    },
  });

/** The messages of a request. */
export function responseMessages(
  input: z.infer<typeof ResponseInput>,
  instructions: string | undefined,
): RequestMessage[] {
  const conversation = new Conversation();
  if (instructions !== undefined && instructions !== '') conversation.addText('system', instructions);
  for (const item of input) addItem(conversation, item);
  return conversation.messages;
}

function addItem(conversation: Conversation, item: z.infer<typeof Item>): void {
  switch (item.type) {
    case 'function_call':
      conversation.addCall(item.call_id, item.name, item.arguments);
      return;
    case 'function_call_output':
      conversation.addResult(item.call_id, item.output);
      return;
    case 'reasoning':
      conversation.addReasoning(item.content || item.summary || '');
      return;
    default:
      conversation.addText(item.role === 'developer' ? 'system' : item.role, item.content);
  }
}
