import { BYTE_CHARS } from '../../src/model/byte-chars.js';
import { END_TOKEN, synthTokenizer } from '../synth/vocabulary.js';

/** The texts of a synthetic vocabulary's tokens, as the API shows them with log-probabilities; each token has another. */
export class TokenTexts {
  private readonly ids = new Map<string, number>();

  constructor(vocab: number) {
    const { model } = synthTokenizer(vocab) as { model: { vocab: Record<string, number> } };
    for (const [token, id] of Object.entries(model.vocab)) this.ids.set(shown(token), id);
    this.ids.set(END_TOKEN, vocab - 1);
  }

  /** The id of a text; -1 for the text of no token of the vocabulary. */
  idOf(text: string): number {
    return this.ids.get(text) ?? -1;
  }
}

/** The text of a byte-level token; `bytes:\xf0` for one that is not UTF-8 by itself. */
function shown(token: string): string {
  const bytes = [...token].map((char) => BYTE_CHARS.indexOf(char));
  if (bytes.every((byte) => byte < 0x80)) return String.fromCharCode(...bytes);
  return `bytes:${bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
}
