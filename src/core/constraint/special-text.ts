/**
 * Special tokens in programs. Each is the byte 0xff, which no text in UTF-8 has, and then its own text: other tokens cannot spell it, and a text that
 * clients constrain cannot have it.
 */

export const SPECIAL_BYTE = 0xff;

/** The bytes of a special token in a program. */
export function specialBytes(text: string): Uint8Array {
  return Buffer.concat([Uint8Array.of(SPECIAL_BYTE), Buffer.from(text)]);
}

/** The bytes of a text in a program, where each of `specials` in it is a special token. */
export function programBytes(text: string, specials: readonly string[]): Uint8Array {
  return Buffer.concat(
    partsOf(text, specials).map((part) => (part.special ? specialBytes(part.text) : Buffer.from(part.text))),
  );
}

interface TextPart {
  readonly text: string;
  /** Whether it is one of the special tokens. */
  readonly special: boolean;
}

/** The parts of a text, where each of `specials` in it is a part of its own. */
export function partsOf(text: string, specials: readonly string[]): TextPart[] {
  const parts: TextPart[] = [];
  let rest = text;
  while (rest !== '') {
    const [at, special] = firstOf(rest, specials);
    if (at > 0) parts.push({ text: rest.slice(0, at), special: false });
    if (special !== '') parts.push({ text: special, special: true });
    rest = rest.slice(at + special.length);
  }
  return parts;
}

/** Where the first of `specials` begins in a text, the longest of those that begin there; the end and '' if there is none. */
function firstOf(text: string, specials: readonly string[]): readonly [at: number, special: string] {
  let [at, found] = [text.length, ''];
  for (const special of specials) {
    const index = text.indexOf(special);
    if (index < 0 || index > at || (index === at && special.length <= found.length)) continue;
    [at, found] = [index, special];
  }
  return [at, found];
}
