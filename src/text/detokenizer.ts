import type { TokenDecoder } from './token-decoder.js';

/** Converts a stream of token ids to text, holding back incomplete characters. */

/** Decoders put this in place of bytes that are not a complete character. */
const REPLACEMENT = '\uFFFD';
/** The tokens of a preceding text that are decoded with the first token. */
const CONTEXT_TOKENS = 8;
/** The maximum number of tokens decoded together if no character completes. A character has at most four bytes. */
const WINDOW_TOKENS = 16;

/**
 * Converts token ids to text, one at a time. A character split over tokens is held back until it is complete, so emitted text never changes.
 * All emitted text, with `flush`, equals the text of all ids decoded at once.
 *
 * Each token is decoded together with the tokens of the previous piece of text, because a decoder may treat the first token of a run
 * differently (the method of vLLM and text-generation-inference). The cost per token does not grow with the length of the text. For the same reason the
 * text of an answer is decoded after the end of its prompt: SentencePiece's decoders drop the blank before the first word of a text, and an answer
 * continues a text.
 */
export class Detokenizer {
  private readonly decoder: TokenDecoder;
  private readonly skipSpecialTokens: boolean;
  /** The tokens of the last emitted piece, as context, then the tokens whose text is incomplete. */
  private window: number[];
  /** The number of context tokens in the window. */
  private context: number;
  /** The number of UTF-16 units of the window's text that were emitted. */
  private emitted: number;
  /** The text of the context, if it may end within a character; else null. */
  private openEnd: string | null;

  /** @param options.after the tokens of the text that this one continues. Default: none. */
  constructor(decoder: TokenDecoder, options: { skipSpecialTokens?: boolean; after?: ArrayLike<number> } = {}) {
    this.decoder = decoder;
    this.skipSpecialTokens = options.skipSpecialTokens ?? true;
    this.window = this.lastShown(options.after ?? []);
    this.context = this.window.length;
    const before = this.decode(this.window);
    this.emitted = before.length;
    this.openEnd = before.endsWith(REPLACEMENT) ? before : null;
  }

  /** The text that this token completes; often empty. */
  push(id: number): string {
    if (this.skipSpecialTokens && this.decoder.specialIds.has(id)) return '';
    this.window.push(id);
    const text = this.decode(this.window);
    if (this.openEnd !== null && !text.startsWith(this.openEnd)) this.takeOpenEnd(this.openEnd);
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

  /** The last few of these tokens that have a text. */
  private lastShown(ids: ArrayLike<number>): number[] {
    const last: number[] = [];
    for (let i = ids.length - 1; i >= 0 && last.length < CONTEXT_TOKENS; i--) {
      const id = ids[i]!;
      if (!this.skipSpecialTokens || !this.decoder.specialIds.has(id)) last.unshift(id);
    }
    return last;
  }

  /** The tokens have completed the last character of the text before: it is theirs. */
  private takeOpenEnd(openEnd: string): void {
    this.emitted = openEnd.length - REPLACEMENT.length;
    this.openEnd = null;
  }

  /** Makes the piece just emitted the context of the next one. */
  private startNextPiece(): void {
    this.openEnd = null;
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
      this.openEnd = null;
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
