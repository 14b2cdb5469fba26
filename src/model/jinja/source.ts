import { withPlainEscapes } from './string-escapes.js';

/** The text of a template as the parser takes it, with the settings of transformers: `trim_blocks`, `lstrip_blocks`, and Jinja's line ends. */

const OPEN = /\{[%{#]/g;
const RAW_BLOCK = /^\{%([-+]?)\s*raw\s*([-+]?)%\}([\s\S]*?)\{%([-+]?)\s*endraw\s*([-+]?)%\}/;

const STRING = /(["'])(?:\\[\s\S]|(?!\1)[^\\])*\1/g;

/** A tag in the source: where it begins and ends. */
interface Tag {
  readonly from: number;
  readonly to: number;
}

/**
 * Removes the blanks before a statement or a comment that begins its line, and the line end after it. `{%+` and `+%}` keep them. Blocks of raw
 * text become expressions that print them.
 */
export function prepared(source: string): string {
  const text = source.replace(/\r\n?/g, '\n');
  let result = '';
  let at = 0;
  for (let tag = nextTag(text, 0); tag !== null; tag = nextTag(text, at)) {
    const { from, to, made, keepsBefore, takesLineEnd } = converted(text, tag);
    const before = text.slice(at, from);
    result += keepsBefore ? before : withoutIndent(before, at === 0 || text[at - 1] === '\n');
    result += made;
    at = takesLineEnd && text[to] === '\n' ? to + 1 : to;
  }
  return result + text.slice(at);
}

/** The text before a statement without the blanks between a line's start and the statement. */
function withoutIndent(before: string, startsLine: boolean): string {
  const lineAt = before.lastIndexOf('\n') + 1;
  const isIndent = /^[ \t]*$/.test(before.slice(lineAt)) && (lineAt > 0 || startsLine);
  return isIndent ? before.slice(0, lineAt) : before;
}

function converted(
  text: string,
  { from, to }: Tag,
): Tag & { readonly made: string; readonly keepsBefore: boolean; readonly takesLineEnd: boolean } {
  const raw = RAW_BLOCK.exec(text.slice(from));
  if (raw !== null) return rawText(raw, from);
  const tag = text.slice(from, to);
  const isExpression = tag[1] === '{';
  const [keepsBefore, keepsAfter] = [tag[2] === '+' && !isExpression, tag.at(-3) === '+' && !isExpression];
  const inner = tag.slice(keepsBefore ? 3 : 2, keepsAfter ? -3 : -2);
  const made = tag[1] === '#' ? inner : inner.replace(STRING, withPlainEscapes);
  return {
    ...{ from, to, made: tag.slice(0, 2) + made + tag.slice(-2) },
    keepsBefore: isExpression || keepsBefore,
    takesLineEnd: !isExpression && !keepsAfter,
  };
}

function rawText([whole, before, after, content, beforeEnd, afterEnd]: RegExpExecArray, from: number) {
  let text = content!;
  // Unlike other statements, `raw` keeps the line end after it.
  if (after === '-') text = text.trimStart();
  if (beforeEnd === '-') text = text.trimEnd();
  else if (beforeEnd !== '+') text = withoutIndent(text, false);
  const quoted = text.replace(/[\\"]/g, '\\$&');
  return {
    ...{ from, to: from + whole.length },
    made: `{{${before === '-' ? '-' : ''} "${quoted}" ${afterEnd === '-' ? '-' : ''}}}`,
    keepsBefore: before === '+',
    takesLineEnd: afterEnd !== '+' && afterEnd !== '-',
  };
}

/** The next tag from an offset on; null if there is none, or if it does not end, which the parser says better. */
function nextTag(text: string, from: number): Tag | null {
  OPEN.lastIndex = from;
  const start = OPEN.exec(text)?.index;
  if (start === undefined) return null;
  const end = endOf(text, start);
  return end < 0 ? null : { from: start, to: end };
}

/** The end of the tag, beyond its strings and the braces of its dictionaries; -1 if it does not end. */
function endOf(text: string, start: number): number {
  if (text[start + 1] === '#') {
    const end = text.indexOf('#}', start + 2);
    return end < 0 ? -1 : end + 2;
  }
  const close = text[start + 1] === '%' ? '%}' : '}}';
  let depth = 0;
  for (let at = start + 2; at < text.length; at++) {
    const char = text[at]!;
    if (char === '"' || char === "'") at = endOfString(text, at);
    else if (depth === 0 && text.startsWith(close, at)) return at + 2;
    else if (char === '{') depth++;
    else if (char === '}') depth--;
  }
  return -1;
}

/** The offset of the quote that ends a string. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== text[start]) at += text[at] === '\\' ? 2 : 1;
  return at;
}
