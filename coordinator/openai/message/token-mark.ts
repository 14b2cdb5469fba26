import { partsOf } from '../../../src/core/constraint/special-text.js';

/**
 * Tells special tokens from text that spells them. In the text for a reader of messages, half of a surrogate pair stands before the text of each special
 * token. Decoded text has no half without the other.
 */

const TOKEN_MARK = '\udbff';
const LONE_MARK = /\udbff(?![\udc00-\udfff])/g;

/** The text of a special token for a reader of messages. */
export function tokenText(text: string): string {
  return TOKEN_MARK + text;
}

/** A text for a reader of messages, where each of `specials` in it is a special token. */
export function textWithTokens(text: string, specials: readonly string[]): string {
  return partsOf(text, specials)
    .map((part) => (part.special ? tokenText(part.text) : part.text))
    .join('');
}

/** The text as users see it. */
export function withoutTokenMarks(text: string): string {
  return text.includes(TOKEN_MARK) ? text.replace(LONE_MARK, '') : text;
}

/** How many characters of `text` are the first `length` characters of the text as users see it. */
export function lengthWithMarks(text: string, length: number): number {
  let at = 0;
  for (let left = length; left > 0; at++) {
    const next = text.charCodeAt(at + 1);
    const isMark = text[at] === TOKEN_MARK && !(next >= 0xdc00 && next <= 0xdfff);
    if (!isMark) left--;
  }
  return at;
}
