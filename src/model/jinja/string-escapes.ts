import { TemplateError } from './values.js';

/** The escapes in strings of templates. Jinja reads them as Python does, of which the parser knows some. */

const ESCAPE = /\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([\s\S]))/g;
const CHARS: Readonly<Record<string, string>> = {
  ...{ '\n': '', '\\': '\\', "'": "'", '"': '"' },
  ...{ a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' },
};
const NAMES_NUMBER = /[xuUN]/;

/** The same string, within its quotes, with the escapes of quotes and backslashes alone. @throws TemplateError for an escape that is damaged */
export function withPlainEscapes(string: string): string {
  const text = string.slice(1, -1).replace(ESCAPE, unescaped);
  return string[0] + text.replace(/[\\"']/g, '\\$&') + string[0];
}

function unescaped(whole: string, octal?: string, byte?: string, short?: string, long?: string, char?: string): string {
  if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
  const hex = byte ?? short ?? long;
  if (hex !== undefined) {
    const code = Number.parseInt(hex, 16);
    if (code <= 0x10ffff) return String.fromCodePoint(code);
  } else if (Object.hasOwn(CHARS, char!)) return CHARS[char!]!;
  else if (!NAMES_NUMBER.test(char!)) return whole;
  throw new TemplateError(`a string has the escape ${whole}, which is not supported or damaged`);
}
