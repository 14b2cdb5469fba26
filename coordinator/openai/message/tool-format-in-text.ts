import type { ToolFormat } from '../../../src/model/tool-format.js';
import { textWithTokens } from './token-mark.js';

/** A form of calls as its marks stand in the text for a reader of messages: each of `specials` in them is a special token. */
export function toolFormatInText(format: ToolFormat, specials: readonly string[]): ToolFormat {
  const asText = (text: string) => textWithTokens(text, specials);
  const { syntax, marks, fillers, ends } = format;
  return {
    ...format,
    syntax: syntax.type === 'gemma' ? { type: 'gemma', quote: asText(syntax.quote) } : syntax,
    marks: marks.map(asText),
    fillers: fillers.map(asText),
    ends: ends.map(asText),
  };
}
