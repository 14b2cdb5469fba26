/**
 * Makes a library's tokenizer take the same characters for blanks as the tokenizers that models are trained with: those with Unicode's property
 * `White_Space`. JavaScript's `\s` and `trim` take U+FEFF too, and not U+0085.
 */

/** The members of @huggingface/tokenizers' tokenizer in which blanks matter. */
export interface BlankLibrary {
  readonly pre_tokenizer: PreTokenizer | null;
  readonly added_tokens: readonly AddedToken[];
  readonly added_tokens_map: ReadonlyMap<string, AddedToken>;
  splitter_unnormalized: Splitter;
  splitter_normalized: Splitter;
}

interface PreTokenizer {
  /** Of a byte-level one: how it splits a text into words. */
  pattern?: RegExp | null;
  readonly byte_encoder?: object;
  /** Of a sequence. */
  readonly tokenizers?: readonly (PreTokenizer | null)[];
}

interface AddedToken {
  readonly content: string;
  /** Whether the token takes the blanks on its left. */
  lstrip: boolean;
  /** Whether the token takes the blanks on its right. */
  rstrip: boolean;
}

/** Cuts a text into added tokens and the text between them. */
interface Splitter {
  split(text: string): string[];
}

/** GPT-2's pattern (`encoder.py` of https://github.com/openai/gpt-2), whose `\s` is Unicode's. */
const WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const BLANK = /\p{White_Space}/u;

/** Changes `library`. */
export function useUnicodeBlanks(library: BlankLibrary): void {
  useUnicodeWords(library.pre_tokenizer);
  const takers = new Map(
    [...library.added_tokens_map]
      .filter(([, { lstrip, rstrip }]) => lstrip || rstrip)
      .map(([text, { lstrip, rstrip }]) => [text, { lstrip, rstrip }]),
  );
  if (takers.size === 0) return;
  library.splitter_unnormalized = takingBlanks(library.splitter_unnormalized, takers);
  library.splitter_normalized = takingBlanks(library.splitter_normalized, takers);
  // The library would trim the rest.
  for (const token of library.added_tokens) Object.assign(token, { lstrip: false, rstrip: false });
}

function useUnicodeWords(preTokenizer: PreTokenizer | null): void {
  if (preTokenizer === null) return;
  if (preTokenizer.byte_encoder && preTokenizer.pattern) preTokenizer.pattern = WORDS;
  for (const inner of preTokenizer.tokenizers ?? []) useUnicodeWords(inner);
}

/** Removes the blanks that adjacent tokens absorb. */
function takingBlanks(
  splitter: Splitter,
  takers: ReadonlyMap<string, Pick<AddedToken, 'lstrip' | 'rstrip'>>,
): Splitter {
  return {
    split: (text) => {
      const sections = splitter.split(text);
      for (let i = 0; i < sections.length; i++) {
        const taker = takers.get(sections[i]!);
        if (taker?.lstrip && i > 0) sections[i - 1] = withoutEnd(sections[i - 1]!);
        if (taker?.rstrip && i < sections.length - 1) sections[i + 1] = withoutBegin(sections[i + 1]!);
      }
      return sections;
    },
  };
}

function withoutBegin(text: string): string {
  let begin = 0;
  while (begin < text.length && BLANK.test(text[begin]!)) begin++;
  return text.slice(begin);
}

function withoutEnd(text: string): string {
  let end = text.length;
  while (end > 0 && BLANK.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}
