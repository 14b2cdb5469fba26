import { REASONING_MARKS, type ReasoningParser, reasoningParserOf } from '../../../src/model/reasoning-format.js';
import {
  type ToolCallParser,
  type ToolFormat,
  toolCallParserOf,
  toolFormatOf,
} from '../../../src/model/tool-format.js';
import type { TextTokenizer } from '../served-model.js';

/** How a model writes the parts of a message. */
export interface MessageFormat {
  /** Null: tool calls are not distinguished from text. */
  readonly tools: ToolFormat | null;
  /** How answers may begin with reasoning. Null: reasoning is not distinguished from text. */
  readonly reasoning: ReasoningParser | null;
  /** Whether an answer consists of messages with channels. */
  readonly channels: boolean;
  /** The texts of special tokens that mark the parts, by id. */
  readonly marks: ReadonlyMap<number, string>;
}

export interface MessageParsers {
  readonly toolCalls: ToolCallParser | 'auto' | 'none';
  readonly reasoning: ReasoningParser | 'auto' | 'none';
}

/** Special tokens that no form names and the readers know. */
const OTHER_MARKS = ['[CALL_ID]', '<|start|>', '<|end|>', '<|call|>', '<|return|>'];

/**
 * @param template the model's chat template; null for none
 * @param toolTemplate the one for chats with tools, if that is another one
 */
export function messageFormatOf(
  template: string | null,
  tokenizer: TextTokenizer,
  { toolCalls, reasoning }: MessageParsers,
  toolTemplate: string | null = null,
): MessageFormat {
  const forTools = toolTemplate ?? template;
  const calls = toolCalls === 'auto' ? toolCallParserOf(forTools) : toolCalls;
  const tools = calls === null || calls === 'none' ? null : toolFormatOf(calls, forTools);
  const chosen = reasoning === 'auto' ? reasoningParserOf(template) : reasoning;
  const thoughts = chosen === 'none' ? null : chosen;
  const channels = thoughts === 'openai_gptoss' || tools?.syntax.type === 'harmony';
  const texts = [
    ...textsOf(tools),
    ...Object.values((thoughts && REASONING_MARKS[thoughts]) ?? {}),
    ...(channels ? ['<|channel|>', '<|message|>', '<|constrain|>'] : []),
  ];
  const isMark = (text: string) => OTHER_MARKS.includes(text) || texts.some((part) => part.includes(text));
  const marks = [...tokenizer.specialIds]
    .map((id): [number, string] => [id, tokenizer.decode([id], { skipSpecialTokens: false })])
    .filter(([, text]) => text.trim() !== '' && texts.length > 0 && isMark(text));
  return { tools, reasoning: thoughts, channels, marks: new Map(marks) };
}

/** All texts in which a special token may be a mark. */
function textsOf(tools: ToolFormat | null): string[] {
  if (tools === null) return [];
  const { form, syntax, marks, fillers, ends } = tools;
  const { before, open, middle, close, between, after } = form;
  const quote = syntax.type === 'gemma' ? [syntax.quote] : [];
  return [...marks, ...fillers, ...ends, ...quote, before, open, middle, close, between, after];
}
