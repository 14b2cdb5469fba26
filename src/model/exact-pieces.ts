import { BLANKS } from './unicode-blanks.js';

/**
 * Makes a library's tokenizer divide texts as the Rust tokenizers do, where the library does otherwise: by words, digits and punctuation, by
 * length, by the behaviours of a split, and into bytes where a Unigram vocabulary has no token for a character.
 */

/** The members of @huggingface/tokenizers' tokenizer that divide texts. */
export interface PieceLibrary {
  readonly pre_tokenizer: Divider | null;
  readonly model: UnigramModel;
}

interface Divider {
  readonly pattern?: RegExp | null;
  pre_tokenize(texts: string | string[], options?: { readonly section_index?: number }): string[];
  pre_tokenize_text(text: string): string[];
  /** Of a sequence. */
  readonly tokenizers?: readonly (Divider | null)[];
}

/** A pre-tokenizer in tokenizer.json. */
export interface DividerForm {
  readonly type?: string;
  readonly behavior?: string;
  readonly invert?: boolean;
  readonly individual_digits?: boolean;
  readonly length?: number;
  readonly replacement?: string;
  readonly prepend_scheme?: string;
  readonly add_prefix_space?: boolean;
  readonly split?: boolean;
  readonly pretokenizers?: readonly (DividerForm | null)[];
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
/** `\w+|[^\w\s]+` with Unicode's classes, as Rust's regular expressions have them. */
const WORD =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu;

const utf8 = new TextEncoder();

/**
 * Changes `library`.
 * @param form the pre-tokenizer in tokenizer.json
 * @param hasByteFallback whether its model writes unknown characters as bytes; of Unigram alone, because the library knows it of BPE
 */
export function useExactPieces(library: PieceLibrary, form: DividerForm | null, hasByteFallback: boolean): void {
  divideExactly(library.pre_tokenizer, form);
  if (hasByteFallback) useBytes(library.model);
}

function divideExactly(divider: Divider | null, form: DividerForm | null): void {
  if (divider === null || form === null) return;
  for (const [i, inner] of (divider.tokenizers ?? []).entries()) divideExactly(inner, form.pretokenizers?.[i] ?? null);
  if (form.type === 'Metaspace') divideAtSpaces(divider, form);
  const divide = divisionBy(form, divider.pattern ?? null);
  if (divide !== null) divider.pre_tokenize_text = divide;
}

/** How a pre-tokenizer divides a text; null if the library does it right. */
function divisionBy(form: DividerForm, pattern: RegExp | null): ((text: string) => string[]) | null {
  const behavior = BEHAVIORS.find((one) => one.toLowerCase() === form.behavior?.toLowerCase()) ?? 'Isolated';
  switch (form.type) {
    case 'Digits':
      return (text) => divided(text, DIGIT, form.individual_digits ? 'Isolated' : 'Contiguous');
    case 'Punctuation':
      return (text) => divided(text, PUNCTUATION, behavior);
    case 'Split':
      return pattern && ((text) => divided(text, pattern, behavior, form.invert ?? false));
    case 'Whitespace':
      return (text) => divided(text, WORD, 'Removed', true);
    case 'WhitespaceSplit':
      return (text) => divided(text, BLANKS, 'Removed');
    case 'BertPreTokenizer':
      return (text) => divided(text, BLANKS, 'Removed').flatMap((piece) => divided(piece, PUNCTUATION, 'Isolated'));
    case 'FixedLength':
      return (text) => ofLength(text, form.length ?? 1);
    default:
      return null;
  }
}

/** Cuts a text into pieces of so many characters. */
function ofLength(text: string, length: number): string[] {
  const chars = Array.from(text);
  return Array.from({ length: Math.ceil(chars.length / length) }, (_, i) =>
    chars.slice(i * length, (i + 1) * length).join(''),
  );
}

/** The mark of the first word is that of the first piece alone, and each mark begins a piece unless `split` is false. */
function divideAtSpaces(divider: Divider, form: DividerForm): void {
  const { replacement = '▁', prepend_scheme = 'always', split } = form;
  if (form.add_prefix_space === false && prepend_scheme !== 'never')
    throw new Error('add_prefix_space of its pre-tokenizer does not match prepend_scheme');
  const mark = new RegExp(escaped(replacement), 'gu');
  divider.pre_tokenize = (texts, options) =>
    [texts].flat().flatMap((text, i) => {
      const marked = text.replaceAll(' ', () => replacement);
      const isFirst = options?.section_index === 0 && i === 0;
      const isPrefixed = prepend_scheme === 'always' || (prepend_scheme === 'first' && isFirst);
      const whole = isPrefixed && !marked.startsWith(replacement) ? replacement + marked : marked;
      return split === false ? [whole] : divided(whole, mark, 'MergedWithNext');
    });
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
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
