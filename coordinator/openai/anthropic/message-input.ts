import { z } from 'zod';
import { listOf, Name } from '../fields.js';
import { Conversation } from '../message/conversation.js';
import type { RequestMessage } from '../messages.js';

/** The conversation of a request of Anthropic's Messages API. */

/** Messages in one request, and blocks of one. */
const ITEMS = 4_096;

const TEXT_ONLY = 'must be a string or blocks of the type text; the model supports text only';
export const CacheControl = z
  .object(
    { type: z.literal('ephemeral'), ttl: z.enum(['5m', '1h']).nullish() },
    { error: 'must have the type ephemeral' },
  )
  .nullish();
const TextBlock = z.object({ type: z.literal('text'), text: z.string(), cache_control: CacheControl });
const Texts = z.union([z.string(), listOf(TextBlock, ITEMS)], { error: TEXT_ONLY });
const Text = Texts.transform(textOf);

const ContentBlock = z.discriminatedUnion(
  'type',
  [
    TextBlock,
    z.object({
      type: z.literal('tool_use'),
      id: Name,
      name: Name,
      input: z.record(z.string(), z.unknown()),
      cache_control: CacheControl,
    }),
    z.object({
      type: z.literal('tool_result'),
      tool_use_id: Name,
      content: Text.nullish(),
      cache_control: CacheControl,
    }),
    z.object({ type: z.literal('thinking'), thinking: z.string() }),
  ],
  { error: 'must have the type text, tool_use, tool_result or thinking; the model supports text only' },
);

const InputMessage = z.object({
  role: z.enum(['user', 'assistant']),
  content: z.union([z.string(), listOf(ContentBlock, ITEMS)], { error: 'must be a string or an array of blocks' }),
});
export const InputMessages = listOf(InputMessage, ITEMS).refine((list) => list.length > 0, 'must not be empty');
export const SystemText = Texts;

export interface MessageInput {
  readonly messages: z.infer<typeof InputMessages>;
  readonly system?: z.infer<typeof SystemText> | undefined;
}

function textOf(text: z.infer<typeof Texts>): string {
  return typeof text === 'string' ? text : text.map((block) => block.text).join('\n');
}

/** The messages of a request. A last message of the assistant is continued, as this API has it. */
export function conversationOf({ messages, system = '' }: MessageInput): {
  readonly messages: RequestMessage[];
  readonly continued: boolean;
} {
  const conversation = new Conversation();
  if (textOf(system) !== '') conversation.addText('system', textOf(system));
  for (const { role, content } of messages) {
    if (typeof content === 'string') conversation.addText(role, content);
    else for (const block of content) addBlock(conversation, role, block);
  }
  const last = conversation.messages.at(-1);
  return { messages: conversation.messages, continued: last?.role === 'assistant' && last.toolCalls === undefined };
}

function addBlock(conversation: Conversation, role: 'user' | 'assistant', block: z.infer<typeof ContentBlock>): void {
  switch (block.type) {
    case 'text':
      conversation.addText(role, block.text);
      return;
    case 'tool_use':
      conversation.addCall(block.id, block.name, JSON.stringify(block.input));
      return;
    case 'tool_result':
      conversation.addResult(block.tool_use_id, block.content ?? '');
      return;
    case 'thinking':
      conversation.addReasoning(block.thinking);
  }
}
