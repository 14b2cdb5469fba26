import { withoutBegin, withoutEnd } from './unicode-blanks.js';

/**
 * Makes a library's tokenizer cut texts at added tokens as the Rust tokenizers do: by their words, their blanks, and the place of what they leave.
 */

/** The members of @huggingface/tokenizers' tokenizer that cut texts at added tokens. */
export interface AddedTokenLibrary {
  readonly added_tokens: readonly AddedToken[];
  readonly added_tokens_map: ReadonlyMap<string, AddedToken>;
  /** First, the text as it is. */
  splitter_unnormalized: Splitter;
  /** Then, each section between those tokens, once it is normalized. */
  splitter_normalized: Splitter;
  /** Last, what lies between tokens. `section_index` is 0 for the first section of the text. */
  pre_tokenizer: ((text: string, options: { readonly section_index: number }) => string[]) | null;
}

interface AddedToken {
  readonly content: string;
  /** Whether the token takes the blanks on its left. */
  lstrip: boolean;
  /** Whether the token takes the blanks on its right. */
  rstrip: boolean;
  /** Whether the token is found only where no word touches it. */
  readonly single_word: boolean;
}

/** Cuts a text into added tokens and the text between them. */
interface Splitter {
  split(text: string): string[];
}

/** `\w` of Rust's regular expressions. */
const WORD = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]';
const BEGINS_WITH_WORD = new RegExp(`^${WORD}`, 'u');
const ENDS_WITH_WORD = new RegExp(`${WORD}$`, 'u');

/** Changes `library`. */
export function useExactTokens(library: AddedTokenLibrary): void {
  // The library takes blanks by its own rules.
  const tokens = new Map([...library.added_tokens_map].map(([text, token]) => [text, { ...token }]));
  for (const token of library.added_tokens) Object.assign(token, { lstrip: false, rstrip: false });
  library.splitter_unnormalized = exactly(library.splitter_unnormalized, tokens);
  library.splitter_normalized = exactly(library.splitter_normalized, tokens);
  knowBegin(library);
}

function exactly(splitter: Splitter, tokens: ReadonlyMap<string, AddedToken>): Splitter {
  const all = [...tokens.values()];
  const steps = [
    ...(all.some(({ single_word }) => single_word) ? [withSingleWords] : []),
    ...(all.some(({ lstrip, rstrip }) => lstrip || rstrip) ? [withoutTakenBlanks] : []),
  ];
  return { split: (text) => steps.reduce((sections, step) => step(sections, tokens), splitter.split(text)) };
}

/** Joins tokens that must be words of their own, and are not, with the texts around them. */
function withSingleWords(sections: readonly string[], tokens: ReadonlyMap<string, AddedToken>): string[] {
  const joined: string[] = [];
  let isText = false;
  for (const [i, section] of sections.entries()) {
    const touches = ENDS_WITH_WORD.test(sections[i - 1] ?? '') || BEGINS_WITH_WORD.test(sections[i + 1] ?? '');
    const token = tokens.get(section);
    const isToken = token !== undefined && !(token.single_word && touches);
    if (!isToken && isText) joined.push(joined.pop()! + section);
    else joined.push(section);
    isText = !isToken;
  }
  return joined;
}

/** Removes the blanks that adjacent tokens take. Blanks that are a token of their own stay. */
function withoutTakenBlanks(all: readonly string[], tokens: ReadonlyMap<string, AddedToken>): string[] {
  const sections = [...all];
  for (const [i, section] of all.entries()) {
    const token = tokens.get(section);
    const [before, after] = [sections[i - 1], sections[i + 1]];
    if (token?.lstrip && before !== undefined && !tokens.has(before)) sections[i - 1] = withoutEnd(before);
    if (token?.rstrip && after !== undefined && !tokens.has(after)) sections[i + 1] = withoutBegin(after);
  }
  return sections;
}

/** Makes the index 0 mean the text's begin. The library gives it also to what follows a token of the first section. */
function knowBegin(library: AddedTokenLibrary): void {
  const { splitter_normalized: splitter, pre_tokenizer: divide, added_tokens_map: tokens } = library;
  if (divide === null) return;
  let isBegin = false;
  library.splitter_normalized = {
    split: (text) => {
      const sections = splitter.split(text);
      isBegin = sections[0] !== undefined && sections[0] !== '' && !tokens.has(sections[0]);
      return sections;
    },
  };
  library.pre_tokenizer = (text, { section_index }) => {
    const index = section_index === 0 && !isBegin ? 1 : section_index;
    isBegin = false;
    return divide(text, { section_index: index });
  };
}
