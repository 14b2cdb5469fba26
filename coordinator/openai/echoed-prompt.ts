import { Detokenizer } from '../../src/text/detokenizer.js';
import type { TextTokenizer } from './served-model.js';
import { codePoints } from './token-report.js';

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** Where a token of a prompt stands in the echoed text. */
interface EchoedToken {
  /** Code points of the text before the token. */
  readonly offset: number;
  /** The token as the text shows it, if that differs from the text that the token adds; else null. */
  readonly shown: string | null;
}

/**
 * Follows the tokens of a prompt through the text that an answer echoes.
 *
 * The two differ: tokens that the tokenizer puts around a text are not in it, and tokenizers in SentencePiece's form put a blank before its first
 * word, which their decoders take away.
 */
export class EchoedPrompt {
  private readonly detokenizer: Detokenizer;
  /** UTF-16 units of the text before the next token. */
  private at = 0;
  private offset = 0;

  constructor(
    private readonly tokenizer: TextTokenizer,
    private readonly text: string,
  ) {
    this.detokenizer = new Detokenizer(tokenizer, { skipSpecialTokens: false });
  }

  /** Passes the prompt's next token. */
  next(id: number): EchoedToken {
    const { offset } = this;
    const piece = this.detokenizer.push(id);
    const inText = this.inText(id, piece);
    this.at += inText.length;
    this.offset += codePoints(inText);
    const own = utf8.decode(this.tokenizer.tokenBytes(id));
    return { offset, shown: own === ` ${inText}` && inText !== '' ? inText : null };
  }

  /** The part of the text that corresponds to a piece of the decoded prompt. */
  private inText(id: number, piece: string): string {
    if (this.text.startsWith(piece, this.at)) return piece;
    if (this.tokenizer.specialIds.has(id)) return '';
    const rest = piece.slice(1);
    if (piece.startsWith(' ') && this.text.startsWith(rest, this.at)) return rest;
    // The tokenizer has changed the text, for example by Unicode's normal forms.
    return this.text.slice(this.at, this.at + piece.length);
  }
}
