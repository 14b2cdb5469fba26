import type { TokenDecoder } from './token-decoder.js';

/** What a decoder makes of bytes that are no character, or not one yet. */
const REPLACEMENT = '\uFFFD';
/** Tokens decoded together when no character ever ends; a character has at most four bytes. */
const WINDOW_TOKENS = 16;

/**
 * Turns token ids into text, one at a time. A character split over tokens is held back until it is whole, so what was given out never
 * changes; all of it, with `flush`, is what decoding all ids at once gives.
 *
 * Each token is decoded together with those of the piece of text before it, as a decoder may treat the first token of a run in its own
 * way (the method of vLLM and text-generation-inference). The cost of a token does not grow with the length of the text.
 */
export class Detokenizer {
  private readonly decoder: TokenDecoder;
  private readonly skipSpecialTokens: boolean;
  /** Tokens of the last piece given out, as context, then those whose text is not whole yet. */
  private window: number[] = [];
  /** How many of the window's tokens are context. */
  private context = 0;
  /** UTF-16 units of the window's text that were given out. */
  private shown = 0;

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
    const fresh = text.slice(this.shown, whole);
    this.shown = Math.max(this.shown, whole);
    if (whole === text.length && fresh !== '') this.moveOn();
    else if (this.window.length >= WINDOW_TOKENS) this.shorten(text);
    return fresh;
  }

  /** What is still held back: a character that never became whole. */
  flush(): string {
    const rest = this.decode(this.window).slice(this.shown);
    this.shown += rest.length;
    return rest;
  }

  /** The piece is whole: it becomes the context of the next. */
  private moveOn(): void {
    this.window = this.window.slice(this.context);
    this.context = this.window.length;
    this.shown = this.decode(this.window).length;
  }

  /** Drops what comes before the last character's tokens, where that changes nothing of the text. */
  private shorten(text: string): void {
    const length = this.window.length;
    for (let cut = length - 1; cut >= length - 4; cut--) {
      const head = this.decode(this.window.slice(0, cut));
      const tail = this.window.slice(cut);
      if (head.length > this.shown || head + this.decode(tail) !== text) continue;
      this.window = tail;
      this.context = 0;
      this.shown -= head.length;
      return;
    }
  }

  private decode(ids: number[]): string {
    return this.decoder.decode(ids, { skipSpecialTokens: this.skipSpecialTokens });
  }
}
