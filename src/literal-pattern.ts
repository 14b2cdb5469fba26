const SYNTAX = /[\\^$.*+?()[\]{}|/]/g;

/** The source of a regular expression, with the flag `u` or without, that matches exactly this text. It must not stand in a class of characters. */
export function literalPattern(text: string): string {
  return text.replace(SYNTAX, '\\$&');
}
