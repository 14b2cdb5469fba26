/** Reads JSON as Python writes it, as most files of model folders come from Python. */

/** Strings, which stay as they are, and the numbers that JSON has no words for. */
const NOT_JSON = /"[^"\\]*(?:\\[\s\S][^"\\]*)*"|-?Infinity|NaN/g;

/**
 * Parses JSON that may contain `Infinity`, `-Infinity` and `NaN`. NaN becomes null.
 * @throws SyntaxError
 */
export function parsePythonJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const plain = text.replace(NOT_JSON, jsonOf);
    if (plain === text) throw error;
    return JSON.parse(plain);
  }
}

/** A number beyond the range of a double is infinite. */
function jsonOf(found: string): string {
  if (found === 'NaN') return 'null';
  return found.endsWith('Infinity') ? found.replace('Infinity', '1e999') : found;
}
