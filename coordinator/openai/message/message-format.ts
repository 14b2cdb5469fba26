import {
  TOOL_FORMATS,
  type ToolCallParser,
  type ToolFormat,
  toolCallParserOf,
} from '../../../src/model/tool-format.js';
import type { TextTokenizer } from '../served-model.js';
import { REASONING_MARKS } from './reasoning-reader.js';

/** How a model writes the parts of a message. */
export interface MessageFormat {
  /** Null: tool calls are not distinguished from text. */
  readonly tools: ToolFormat | null;
  /** Whether answers may begin with reasoning. */
  readonly reasons: boolean;
  /** The texts of special tokens that mark the parts, by id. */
  readonly marks: ReadonlyMap<number, string>;
}

export interface MessageParsers {
  readonly toolCalls: ToolCallParser | 'auto' | 'none';
  readonly reasoning: 'auto' | 'think' | 'none';
}

/** @param template the model's chat template; null for none */
export function messageFormatOf(
  template: string | null,
  tokenizer: TextTokenizer,
  { toolCalls, reasoning }: MessageParsers,
): MessageFormat {
  const parser = toolCalls === 'auto' ? toolCallParserOf(template) : toolCalls;
  const tools = parser === null || parser === 'none' ? null : TOOL_FORMATS[parser];
  const reasons = reasoning === 'auto' ? (template?.includes(REASONING_MARKS.end) ?? false) : reasoning === 'think';
  const texts = new Set([...(tools?.marks ?? []), ...(tools?.fillers ?? []), ...Object.values(REASONING_MARKS)]);
  if (parser === 'mistral') for (const mark of ['[ARGS]', '[CALL_ID]']) texts.add(mark);
  const marks = [...tokenizer.specialIds]
    .map((id): [number, string] => [id, tokenizer.decode([id], { skipSpecialTokens: false })])
    .filter(([, text]) => texts.has(text));
  return { tools, reasons, marks: new Map(marks) };
}
