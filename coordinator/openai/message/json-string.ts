/** One character of a text as it stands in a JSON string. Halves of a surrogate pair stay as they are: the other half follows. */
export function inJson(character: string): string {
  return /[\ud800-\udfff]/.test(character) ? character : JSON.stringify(character).slice(1, -1);
}

/** A UTF-16 code unit, written as an escape if it is half of a pair. */
export function escapedUnit(code: number): string {
  const isHalf = code >= 0xd800 && code <= 0xdfff;
  return isHalf ? `\\u${code.toString(16)}` : inJson(String.fromCharCode(code));
}
