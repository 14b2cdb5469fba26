/**
 * The character that stands for each byte in byte-level vocabularies: printable characters of Latin-1 for themselves, the other
 * bytes for U+0100 onwards, in order (`bytes_to_unicode` of GPT-2, https://github.com/openai/gpt-2).
 */
export const BYTE_CHARS: readonly string[] = byteChars();

/** The byte that a character of a byte-level vocabulary stands for. */
export const CHAR_BYTES: ReadonlyMap<string, number> = new Map(BYTE_CHARS.map((char, byte) => [char, byte]));

function byteChars(): string[] {
  const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : 256 + others++));
}
