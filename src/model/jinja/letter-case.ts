/** The case of letters as Python's texts have it. JavaScript knows no title case, which differs from upper case in letters that are two. */

const DOUBLE = /^[Ǆ-ǌǱ-ǳ]$/;
const TITLES = ['ǅ', 'ǈ', 'ǋ', 'ǲ'];
/** Letters without a title case, though they have an upper case. */
const GEORGIAN = /^[\u10d0-\u10ff]$/;
const LIGATURE = /^[ßև\ufb00-\ufb06\ufb13-\ufb17]$/;

/** A character in title case. */
function titleOf(char: string): string {
  if (GEORGIAN.test(char)) return char;
  if (DOUBLE.test(char)) return TITLES.find((title) => title.toUpperCase() === char.toUpperCase())!;
  const upper = char.toUpperCase();
  if (LIGATURE.test(char)) return upper[0] + upper.slice(1).toLowerCase();
  if (upper.length === 1 || !upper.endsWith('Ι')) return upper;
  // An iota after the letter is a mark below it.
  const marked = `${upper.slice(0, -1)}\u0345`;
  return marked.length === 2 ? marked.normalize('NFC') : marked;
}

/** `str.capitalize`: the first character in title case, the others in lower case. */
export function capitalized(text: string): string {
  const [first = ''] = text;
  // A sigma is final by what is before it.
  return titleOf(first) + text.toLowerCase().slice(first.toLowerCase().length);
}

/** `str.title`: each run of letters with case as `capitalized` makes it. */
export function titled(text: string): string {
  return text.replace(/\p{Cased}+/gu, capitalized);
}

/** `str.casefold`. */
export function folded(text: string): string {
  return Array.from(text, foldOf).join('');
}

function foldOf(char: string): string {
  if (char === 'ı') return char;
  // Cherokee is compared in upper case.
  if (/[\u13a0-\u13fd\uab70-\uabbf]/.test(char)) return char.toUpperCase();
  return char.toLowerCase().toUpperCase().toLowerCase();
}

/** `str.islower`. A text without letters that have case is neither. */
export function isLower(text: string): boolean {
  return /\p{Lowercase}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text);
}

/** `str.isupper`. */
export function isUpper(text: string): boolean {
  return /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text);
}
