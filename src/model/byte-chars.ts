/**
 * The characters that represent bytes in byte-level vocabularies.
 *
 * Printable Latin-1 characters represent themselves; the other bytes are U+0100 onwards, in order (`bytes_to_unicode` of GPT-2,
 * https://github.com/openai/gpt-2).
 */
export const BYTE_CHARS: readonly string[] = byteChars();

/** The byte that each of these characters represents. */
export const CHAR_BYTES: ReadonlyMap<string, number> = new Map(BYTE_CHARS.map((char, byte) => [char, byte]));

function byteChars(): string[] {
  const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : 256 + others++));
}
