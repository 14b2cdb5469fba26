import { seen } from '../shadow-chars.js';

/** Texts as Python treats them: its blanks, its line ends, and its counting of characters. */

/** The characters for which `str.isspace` holds. JavaScript also has U+FEFF, and lacks U+001C to U+001F and U+0085. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python counts these as whitespace.
const BLANK = /[\t-\r\p{Zs}\u001c-\u001f\u0085\u2028\u2029]/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python counts these as line ends.
const LINE_END = /\r\n|[\n\v\f\r\u001c-\u001e\u0085\u2028\u2029]/g;

export function isBlank(char: string): boolean {
  return BLANK.test(char);
}

/** The text without the characters of `set` at the ends, or without blanks. */
export function stripped(text: string, set: string | null, ends: 'both' | 'left' | 'right' = 'both'): string {
  const chars = set === null ? null : new Set(seen(set));
  const isStripped = chars === null ? isBlank : (char: string) => chars.has(seen(char));
  let [from, to] = [0, text.length];
  while (ends !== 'right' && from < to) {
    const char = String.fromCodePoint(text.codePointAt(from)!);
    if (!isStripped(char)) break;
    from += char.length;
  }
  while (ends !== 'left' && to > from) {
    const char = lastChar(text, to);
    if (!isStripped(char)) break;
    to -= char.length;
  }
  return text.slice(from, Math.max(from, to));
}

/** The character that ends at an offset. */
function lastChar(text: string, to: number): string {
  const code = text.codePointAt(to - 2);
  return code !== undefined && code > 0xffff && to >= 2 ? String.fromCodePoint(code) : text[to - 1]!;
}

/** The parts of a text between separators, as templates see them. */
export function parts(text: string, separator: string): string[] {
  let at = 0;
  return seen(text)
    .split(seen(separator))
    .map((part) => {
      const own = text.slice(at, at + part.length);
      at += part.length + separator.length;
      return own;
    });
}

/** The words between blanks; the last one is the rest, beyond `most` splits. */
export function words(text: string, most: number): string[] {
  const found: string[] = [];
  let at = 0;
  for (;;) {
    while (at < text.length && isBlank(text[at]!)) at++;
    if (at === text.length) return found;
    if (found.length === most) return [...found, text.slice(at)];
    const from = at;
    while (at < text.length && !isBlank(text[at]!)) at++;
    found.push(text.slice(from, at));
  }
}

/** The words between blanks; the first one is the rest, beyond `most` splits. */
export function wordsFromRight(text: string, most: number): string[] {
  const found: string[] = [];
  let to = text.length;
  for (;;) {
    while (to > 0 && isBlank(text[to - 1]!)) to--;
    if (to === 0) return found.reverse();
    if (found.length === most) return [...found, text.slice(0, to)].reverse();
    const end = to;
    while (to > 0 && !isBlank(text[to - 1]!)) to--;
    found.push(text.slice(to, end));
  }
}

/** The lines of a text. A line end at the end begins no further line. */
export function lines(text: string, keepsEnds: boolean): string[] {
  const found: string[] = [];
  let from = 0;
  for (const { 0: end, index } of text.matchAll(LINE_END)) {
    found.push(text.slice(from, keepsEnds ? index + end.length : index));
    from = index + end.length;
  }
  if (from < text.length) found.push(text.slice(from));
  return found;
}

/** Less than 0 if `a` comes before `b`, by their characters. JavaScript compares halves of characters beyond U+FFFF. */
export function compareTexts(a: string, b: string): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  if (at === a.length || at === b.length) return a.length - b.length;
  return inOrder(a.charCodeAt(at)) - inOrder(b.charCodeAt(at));
}

/** A UTF-16 unit, where surrogates come after all others. */
function inOrder(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
