/**
 * The private-use characters that replace ASCII characters in texts of clients (`special-guard`). Templates see the ASCII characters wherever they search,
 * compare or test a text, while what they cut out of it keeps the replacements.
 */

const FIRST = 0xf700;
const ASCII_END = 0x80;
const SHADOW = /[\uF700-\uF77F]/g;

/** The replacement of an ASCII character; null for another character. */
export function shadowOf(char: string): string | null {
  const code = char.codePointAt(0)!;
  return code < ASCII_END ? String.fromCharCode(FIRST + code) : null;
}

export function isShadow(char: string): boolean {
  const code = char.charCodeAt(0);
  return code >= FIRST && code < FIRST + ASCII_END;
}

/** A text as templates see it. It has the same length. */
export function seen(text: string): string {
  return text.replace(SHADOW, (shadow) => String.fromCharCode(shadow.charCodeAt(0) - FIRST));
}
