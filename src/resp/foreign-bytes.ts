/** Recognises bytes that are not of the Redis protocol. */

/** Lines that browsers send, also as a part of an attack by a page: nothing behind them may be taken for a command. */
export function isHttp(line: string): boolean {
  return /^(?:POST|Host:)(?:\s|$)/i.test(line) || /\sHTTP\/\d(?:\.\d)?\s*$/i.test(line);
}

/** A byte in an error message. */
export function printable(byte: number): string {
  return byte > 32 && byte < 127 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
}
