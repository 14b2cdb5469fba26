import type { Shadows } from './special-guard.js';

/** Encodes with a library's tokenizer step by step, so that a long text can be stopped, and the words of a client never become special tokens. */

/** The members of @huggingface/tokenizers' tokenizer that `encode` calls, in this order. */
export interface EncodingLibrary {
  readonly pre_tokenizer: ((text: string, options: unknown) => string[]) | null;
  readonly model: EncodingModel;
  encode(text: string, options: { add_special_tokens: boolean }): { readonly ids: number[] };
}

interface EncodingModel {
  (words: string[]): string[];
  readonly tokens_to_ids: ReadonlyMap<string, number>;
  readonly unk_token_id: number | undefined;
  /** Whether unknown tokens in a row become one, across words. */
  readonly fuse_unk: boolean;
}

export interface GuardedOptions {
  readonly shadows: Shadows;
  /** The texts of the special tokens. */
  readonly specials: readonly string[];
  /** Called with the number of tokens that the text has at least, again and again. Encoding stops if it throws. */
  readonly onLength: (atLeastTokens: number) => void;
  /** Characters of a word per token, at most; null if there is no limit. */
  readonly charsPerToken: number | null;
}

/** Words that are encoded between two calls of `onLength`. */
const WORDS_PER_STEP = 1_024;

/** The same tokenizer with these options. It shares the vocabulary with `library`, which it does not change. */
export function guardedEncoder(library: EncodingLibrary, options: GuardedOptions): EncodingLibrary {
  const { pre_tokenizer: split, model } = library;
  const { restore } = options.shadows;
  const stepwise = (words: string[]) => encodeWords(words, model, options);
  const { tokens_to_ids, unk_token_id, fuse_unk } = model;
  return Object.create(library, {
    pre_tokenizer: {
      value: (text: string, more: unknown) => (split === null ? [restore(text)] : split(restore(text), more)),
    },
    model: { value: Object.assign(stepsCounted(stepwise, options), { tokens_to_ids, unk_token_id, fuse_unk }) },
  }) as EncodingLibrary;
}

/** Sums the tokens of all sections of a text. */
function stepsCounted(
  encode: (words: string[]) => Generator<string[], void>,
  { onLength, charsPerToken }: GuardedOptions,
): (words: string[]) => string[] {
  let before = 0;
  return (words) => {
    const chars = words.reduce((sum, word) => sum + word.length, 0);
    onLength(before + (charsPerToken === null ? 0 : Math.ceil(chars / charsPerToken)));
    const tokens: string[] = [];
    for (const some of encode(words)) {
      for (const token of some) tokens.push(token);
      onLength(before + tokens.length);
    }
    before += tokens.length;
    return tokens;
  };
}

function* encodeWords(words: string[], model: EncodingModel, options: GuardedOptions): Generator<string[], void> {
  const specials = options.specials.filter((special) => words.some((word) => word.includes(special)));
  if (model.fuse_unk) {
    yield model(specials.length === 0 ? words : words.flatMap((word) => parts(word, model, specials)));
    return;
  }
  for (let i = 0; i < words.length; i += WORDS_PER_STEP) {
    const some = words.slice(i, i + WORDS_PER_STEP);
    yield model(specials.length === 0 ? some : some.flatMap((word) => parts(word, model, specials)));
  }
}

/** A word in which the model finds a special token, cut within that token; any other word as it is. */
function parts(word: string, model: EncodingModel, specials: readonly string[]): string[] {
  const inside = specials.filter((special) => word.includes(special));
  if (inside.length === 0) return [word];
  const found = model([word]).find((token) => inside.includes(token));
  if (found === undefined) return [word];
  const cut = word.indexOf(found) + String.fromCodePoint(found.codePointAt(0)!).length;
  if (cut >= word.length) return [word];
  return [word.slice(0, cut), ...parts(word.slice(cut), model, specials)];
}
