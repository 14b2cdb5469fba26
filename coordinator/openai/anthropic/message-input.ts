import { z } from 'zod';
import { JSON_SCHEMA, listOf, Name } from '../fields.js';
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
      is_error: z.boolean().nullish(),
      cache_control: CacheControl,
    }),
    z.object({ type: z.literal('thinking'), thinking: z.string() }),
  ],
  { error: 'must have the type text, tool_use, tool_result or thinking; the model supports text only' },
);

type ContentBlock = z.infer<typeof ContentBlock>;

/** A string is one block of text. Not a union, whose error would not say which block is wrong. */
const Content = z
  .unknown()
  .transform((content, { issues }) => {
    if (typeof content === 'string') return [{ type: 'text', text: content }];
    if (content !== undefined && !Array.isArray(content))
      issues.push({ code: 'custom', input: content, message: 'must be a string or an array of blocks' });
    return content;
  })
  .pipe(listOf(ContentBlock, ITEMS))
  .meta({
    override: {
      anyOf: [{ type: 'string' }, z.toJSONSchema(listOf(ContentBlock, ITEMS), JSON_SCHEMA)],
    },
  });

const InputMessage = z.object({ role: z.enum(['user', 'assistant']), content: Content });
export const InputMessages = listOf(InputMessage, ITEMS)
  .refine((list) => list.length > 0, 'must not be empty')
  .check(({ value, issues }) => {
    const path = strayResult(value);
    if (path !== null) issues.push({ code: 'custom', input: value, path, message: STRAY_RESULT });
  });
export const SystemText = Texts;

const STRAY_RESULT =
  'no tool_use of the message before has this id; a tool_result stands in the message after the one with its tool_use';

/** The place of the first result whose call is not in the turn of the assistant before; null if there is none. */
function strayResult(messages: readonly z.infer<typeof InputMessage>[]): (string | number)[] | null {
  let calls = new Set<string>();
  let previous = '';
  for (const [i, { role, content }] of messages.entries()) {
    if (role === 'assistant' && previous !== 'assistant') calls = new Set();
    previous = role;
    for (const [k, block] of content.entries()) {
      if (block.type === 'tool_use') calls.add(block.id);
      if (block.type === 'tool_result' && !calls.has(block.tool_use_id)) return [i, 'content', k, 'tool_use_id'];
    }
  }
  return null;
}

export interface MessageInput {
  readonly messages: z.infer<typeof InputMessages>;
  readonly system?: z.infer<typeof SystemText> | undefined;
}

function textOf(text: z.infer<typeof Texts>): string {
  return typeof text === 'string' ? text : text.map((block) => block.text).join('\n');
}

/**
 * The messages of a request. A last message of the assistant is continued, as this API has it, unless it is empty. Texts that follow each other in one
 * message, and messages of the user that do, are one text: templates demand that the roles alternate.
 */
export function conversationOf({ messages, system = '' }: MessageInput): {
  readonly messages: RequestMessage[];
  readonly continued: boolean;
} {
  const conversation = new Conversation();
  if (textOf(system) !== '') conversation.addText('system', textOf(system));
  let previous: 'user' | 'assistant' | null = null;
  for (const { role, content } of messages) {
    const isMore = role === 'user' && previous === 'user';
    for (const [i, block] of content.entries()) {
      const before = i > 0 ? content[i - 1]!.type : isMore ? 'text' : null;
      if (block.type === 'text' && before === 'text' && conversation.continueText(role, block.text)) continue;
      addBlock(conversation, role, block);
    }
    previous = role;
  }
  const last = conversation.messages.at(-1);
  const isOpen = last?.role === 'assistant' && last.toolCalls === undefined && last.reasoning === undefined;
  if (!isOpen || last.content?.trim() !== '') return { messages: conversation.messages, continued: isOpen };
  return { messages: conversation.messages.slice(0, -1), continued: false };
}

/** Templates know no results that failed, so the text says so. */
function resultOf(text: string, isError: boolean): string {
  if (!isError || /^error\b/i.test(text.trimStart())) return text;
  return text === '' ? 'Error' : `Error: ${text}`;
}

function addBlock(conversation: Conversation, role: 'user' | 'assistant', block: ContentBlock): void {
  switch (block.type) {
    case 'text':
      conversation.addText(role, block.text);
      return;
    case 'tool_use':
      conversation.addCall(block.id, block.name, JSON.stringify(block.input));
      return;
    case 'tool_result':
      conversation.addResult(block.tool_use_id, resultOf(block.content ?? '', block.is_error ?? false));
      return;
    case 'thinking':
      conversation.addReasoning(block.thinking);
  }
}
