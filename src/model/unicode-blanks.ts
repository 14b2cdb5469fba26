/**
 * The blanks of the tokenizers that models are trained with: the characters with Unicode's property `White_Space`. JavaScript's `\s` and `trim` take
 * U+FEFF too, and not U+0085.
 */

/** The members of @huggingface/tokenizers' tokenizer that find words between blanks. */
export interface BlankLibrary {
  readonly pre_tokenizer: PreTokenizer | null;
}

interface PreTokenizer {
  /** Of a byte-level one: how it splits a text into words. */
  pattern?: RegExp | null;
  readonly byte_encoder?: object;
  /** Of a sequence. */
  readonly tokenizers?: readonly (PreTokenizer | null)[];
}

/** GPT-2's pattern (`encoder.py` of https://github.com/openai/gpt-2), whose `\s` is Unicode's. */
const WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const BLANK = /\p{White_Space}/u;
/** Runs of blanks. */
export const BLANKS = /\p{White_Space}+/gu;

/** Changes `library`. */
export function useUnicodeBlanks(library: BlankLibrary): void {
  useUnicodeWords(library.pre_tokenizer);
}

function useUnicodeWords(preTokenizer: PreTokenizer | null): void {
  if (preTokenizer === null) return;
  if (preTokenizer.byte_encoder && preTokenizer.pattern) preTokenizer.pattern = WORDS;
  for (const inner of preTokenizer.tokenizers ?? []) useUnicodeWords(inner);
}

/** The text without the blanks at its begin. */
export function withoutBegin(text: string): string {
  let begin = 0;
  while (begin < text.length && BLANK.test(text[begin]!)) begin++;
  return text.slice(begin);
}

/** The text without the blanks at its end. */
export function withoutEnd(text: string): string {
  let end = text.length;
  while (end > 0 && BLANK.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}
