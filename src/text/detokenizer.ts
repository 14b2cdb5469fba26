import type { TokenDecoder } from './token-decoder.js';

/** Converts a stream of token ids to text, holding back incomplete characters. */

/** Decoders put this in place of bytes that are not a complete character. */
const REPLACEMENT = '\uFFFD';
/** The maximum number of tokens decoded together if no character completes. A character has at most four bytes. */
const WINDOW_TOKENS = 16;

/**
 * Converts token ids to text, one at a time. A character split over tokens is held back until it is complete, so emitted text never changes.
 * All emitted text, with `flush`, equals the text of all ids decoded at once.
 *
 * Each token is decoded together with the tokens of the previous piece of text, because a decoder may treat the first token of a run
 * differently (the method of vLLM and text-generation-inference). The cost per token does not grow with the length of the text.
 */
export class Detokenizer {
  private readonly decoder: TokenDecoder;
  private readonly skipSpecialTokens: boolean;
  /** The tokens of the last emitted piece, as context, then the tokens whose text is incomplete. */
  private window: number[] = [];
  /** The number of context tokens in the window. */
  private context = 0;
  /** The number of UTF-16 units of the window's text that were emitted. */
  private emitted = 0;

  constructor(decoder: TokenDecoder, { skipSpecialTokens = true } = {}) {
    this.decoder = decoder;
    this.skipSpecialTokens = skipSpecialTokens;
  }

  /** The text that this token completes; often empty. */
  push(id: number): string {
    if (this.skipSpecialTokens && this.decoder.specialIds.has(id)) return '';
    this.window.push(id);
    const text = this.decode(this.window);
    const whole = text.endsWith(REPLACEMENT) ? text.length - 1 : text.length;
    const fresh = text.slice(this.emitted, whole);
    this.emitted = Math.max(this.emitted, whole);
    if (whole === text.length && fresh !== '') this.startNextPiece();
    else if (this.window.length >= WINDOW_TOKENS) this.shorten(text);
    return fresh;
  }

  /** The text that is still held back: an incomplete character at the end. */
  flush(): string {
    const rest = this.decode(this.window).slice(this.emitted);
    this.emitted += rest.length;
    return rest;
  }

  /** Makes the piece just emitted the context of the next one. */
  private startNextPiece(): void {
    this.window = this.window.slice(this.context);
    this.context = this.window.length;
    this.emitted = this.decode(this.window).length;
  }

  /** Drops the tokens before the last character's, if this does not change the text. */
  private shorten(text: string): void {
    const length = this.window.length;
    for (let cut = length - 1; cut >= length - 4; cut--) {
      const head = this.decode(this.window.slice(0, cut));
      const tail = this.window.slice(cut);
      if (head.length > this.emitted || head + this.decode(tail) !== text) continue;
      this.window = tail;
      this.context = 0;
      this.emitted -= head.length;
      return;
    }
  }

  private decode(ids: number[]): string {
    return this.decoder.decode(ids, { skipSpecialTokens: this.skipSpecialTokens });
  }
}
