import { BYTE_CHARS } from '../../src/model/byte-chars.js';
import { END_TOKEN, synthTokenizer } from '../synth/vocabulary.js';

/** The texts of a synthetic vocabulary's tokens, as the API shows them with log-probabilities; each token has another. */
export class TokenTexts {
  private readonly texts: string[] = [];

  constructor(vocab: number) {
    const { model } = synthTokenizer(vocab) as { model: { vocab: Record<string, number> } };
    for (const [token, id] of Object.entries(model.vocab)) this.texts[id] = shown(token);
    this.texts[vocab - 1] = END_TOKEN;
  }

  /** The empty text for ids beyond the vocabulary. */
  of(id: number): string {
    return this.texts[id] ?? '';
  }
}

/** The text of a byte-level token; `bytes:\xf0` for one that is not UTF-8 by itself. */
function shown(token: string): string {
  const bytes = [...token].map((char) => BYTE_CHARS.indexOf(char));
  if (bytes.every((byte) => byte < 0x80)) return String.fromCharCode(...bytes);
  return `bytes:${bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
}
