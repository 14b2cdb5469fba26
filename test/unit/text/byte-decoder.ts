import type { TokenDecoder } from '../../../src/text/token-decoder.js';

/** Ids 0 to 255 are bytes, the next ones are words, some of which end inside a character, and the last one is special. */
const WORDS = [' the', 'é', '😀', '\uFFFD'].map((word) => new TextEncoder().encode(word));
const CUT = [
  [0x61, 0xf0, 0x9f],
  [0x98, 0x80, 0x62],
  [0xe2, 0x82],
];
const PIECES: readonly Uint8Array[] = [
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...WORDS,
  ...CUT.map((bytes) => Uint8Array.from(bytes)),
];
export const SPECIAL_ID = PIECES.length;
export const VOCABULARY = PIECES.length + 1;

/** A minimal byte-level decoder that counts the tokens that it decodes. */
export class ByteDecoder implements TokenDecoder {
  readonly specialIds = new Set([SPECIAL_ID]);
  decodedTokens = 0;

  decode(ids: number[], { skipSpecialTokens }: { skipSpecialTokens: boolean }): string {
    this.decodedTokens += ids.length;
    const special = skipSpecialTokens ? '' : '<|end|>';
    const bytes = ids.map((id) => (id === SPECIAL_ID ? Buffer.from(special) : PIECES[id]!));
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(bytes));
  }
}
