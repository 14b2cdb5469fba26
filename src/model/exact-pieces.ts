/**
 * Makes a library's tokenizer divide texts as the Rust tokenizers do, where the library does otherwise: by digits, by punctuation, by the
 * behaviours of a split, and into bytes where a Unigram vocabulary has no token for a character.
 */

/** The members of @huggingface/tokenizers' tokenizer that divide texts. */
export interface PieceLibrary {
  readonly pre_tokenizer: Divider | null;
  readonly model: UnigramModel;
}

interface Divider {
  readonly config?: {
    readonly type?: string;
    readonly behavior?: string;
    readonly invert?: boolean;
    readonly individual_digits?: boolean;
  };
  readonly pattern?: RegExp | null;
  pre_tokenize_text(text: string): string[];
  /** Of a sequence. */
  readonly tokenizers?: readonly (Divider | null)[];
}

interface UnigramModel {
  readonly tokens_to_ids: ReadonlyMap<string, number>;
  tokenize?(text: string): string[];
}

/** What becomes of matches: the names in tokenizer.json. */
const BEHAVIORS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;
/** @internal exported for tests. */
export type SplitBehavior = (typeof BEHAVIORS)[number];

/** Rust's `char::is_numeric`. */
const DIGIT = /\p{N}/gu;
const PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu;

const utf8 = new TextEncoder();

/**
 * Changes `library`.
 * @param hasByteFallback whether its model writes unknown characters as bytes; of Unigram alone, because the library knows it of BPE
 */
export function useExactPieces(library: PieceLibrary, hasByteFallback: boolean): void {
  divideExactly(library.pre_tokenizer);
  if (hasByteFallback) useBytes(library.model);
}

function divideExactly(divider: Divider | null): void {
  if (divider === null) return;
  for (const inner of divider.tokenizers ?? []) divideExactly(inner);
  const { config = {}, pattern } = divider;
  const behavior = BEHAVIORS.find((one) => one.toLowerCase() === config.behavior?.toLowerCase()) ?? 'Isolated';
  if (config.type === 'Digits') {
    const ofDigits = config.individual_digits ? 'Isolated' : 'Contiguous';
    divider.pre_tokenize_text = (text) => divided(text, DIGIT, ofDigits);
  } else if (config.type === 'Punctuation') divider.pre_tokenize_text = (text) => divided(text, PUNCTUATION, behavior);
  else if (config.type === 'Split' && pattern)
    divider.pre_tokenize_text = (text) => divided(text, pattern, behavior, config.invert ?? false);
}

interface Piece {
  text: string;
  readonly isMatch: boolean;
}

/**
 * Divides a text by a pattern, after `NormalizedString::split` of the Rust tokenizers.
 * @param pattern with the flag `g`
 * @param isInverted whether what does not match counts as a match
 * @internal exported for tests.
 */
export function divided(text: string, pattern: RegExp, behavior: SplitBehavior, isInverted = false): string[] {
  const pieces = piecesOf(text, pattern, isInverted);
  switch (behavior) {
    case 'Removed':
      return textsOf(pieces.filter(({ isMatch }) => !isMatch));
    case 'Isolated':
      return textsOf(pieces);
    case 'MergedWithPrevious':
      return merged(
        pieces,
        (piece, last) => piece.isMatch && !last.isMatch,
        (piece, last) => last + piece,
      );
    case 'MergedWithNext':
      return merged(
        pieces.reverse(),
        (piece, last) => piece.isMatch && !last.isMatch,
        (piece, last) => piece + last,
      ).reverse();
    case 'Contiguous':
      return merged(
        pieces,
        (piece, last) => piece.isMatch === last.isMatch,
        (piece, last) => last + piece,
      );
  }
}

function piecesOf(text: string, pattern: RegExp, isInverted: boolean): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const { 0: found, index } of text.matchAll(pattern)) {
    if (index > at) pieces.push({ text: text.slice(at, index), isMatch: isInverted });
    if (found !== '') pieces.push({ text: found, isMatch: !isInverted });
    at = index + found.length;
  }
  if (at < text.length) pieces.push({ text: text.slice(at), isMatch: isInverted });
  return pieces;
}

/** @param joins whether a piece joins the one before it */
function merged(
  pieces: readonly Piece[],
  joins: (piece: Piece, last: Piece) => boolean,
  together: (piece: string, last: string) => string,
): string[] {
  const texts: string[] = [];
  for (const [i, piece] of pieces.entries()) {
    if (i > 0 && joins(piece, pieces[i - 1]!)) texts.push(together(piece.text, texts.pop()!));
    else texts.push(piece.text);
  }
  return texts;
}

function textsOf(pieces: readonly Piece[]): string[] {
  return pieces.map(({ text }) => text);
}

/** Writes a run of characters without tokens as the tokens of its bytes, if the vocabulary has all of them. */
function useBytes(model: UnigramModel): void {
  const tokenize = model.tokenize!.bind(model);
  model.tokenize = (text) => {
    const tokens: string[] = [];
    let unknown = '';
    const flush = () => {
      if (unknown === '') return;
      const bytes = Array.from(
        utf8.encode(unknown),
        (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
      );
      const areKnown = bytes.every((byte) => model.tokens_to_ids.has(byte));
      tokens.push(...(areKnown ? bytes : [unknown]));
      unknown = '';
    };
    for (const token of tokenize(text)) {
      if (model.tokens_to_ids.has(token)) {
        flush();
        tokens.push(token);
      } else unknown += token;
    }
    flush();
    return tokens;
  };
}
