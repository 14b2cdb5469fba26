import { normalizationByMap } from './characters-map.js';
import { withoutBegin, withoutEnd } from './unicode-blanks.js';

/**
 * Makes a library's tokenizer normalize texts as the Rust tokenizers do, where the library does as JavaScript: by case, by blanks, and by
 * replacements, in which JavaScript gives `$` a meaning.
 */

/** The members of @huggingface/tokenizers' tokenizer that normalize texts. */
export interface NormalizerLibrary {
  readonly normalizer: Normalizer | null;
}

interface Normalizer {
  readonly config: NormalizerForm;
  readonly pattern?: RegExp | null;
  normalize(text: string): string;
  /** Of a sequence. */
  readonly normalizers?: readonly (Normalizer | null)[];
}

/** A normalizer in tokenizer.json. */
interface NormalizerForm {
  readonly type: string;
  readonly content?: string;
  readonly strip_left?: boolean;
  readonly strip_right?: boolean;
  readonly clean_text?: boolean;
  readonly handle_chinese_chars?: boolean;
  readonly strip_accents?: boolean | null;
  readonly lowercase?: boolean;
  readonly precompiled_charsmap?: string | null;
}

/** Changes `library`. */
export function useExactNormalizers(library: NormalizerLibrary): void {
  normalizeExactly(library.normalizer);
}

function normalizeExactly(normalizer: Normalizer | null): void {
  if (normalizer === null) return;
  for (const inner of normalizer.normalizers ?? []) normalizeExactly(inner);
  const normalize = normalizationBy(normalizer.config, normalizer.pattern ?? null);
  if (normalize !== null) normalizer.normalize = normalize;
}

/** How a normalizer changes a text; null if the library does it right. */
function normalizationBy(form: NormalizerForm, pattern: RegExp | null): ((text: string) => string) | null {
  switch (form.type) {
    case 'Lowercase':
      return lowerCased;
    case 'Strip':
      return (text) => {
        const begun = form.strip_left ? withoutBegin(text) : text;
        return form.strip_right ? withoutEnd(begun) : begun;
      };
    case 'Replace':
      return pattern && ((text) => replaced(text, pattern, form.content ?? ''));
    case 'Precompiled':
      return form.precompiled_charsmap ? normalizationByMap(form.precompiled_charsmap) : (text) => text;
    case 'BertNormalizer':
      return (text) => normalizedForBert(text, form);
    default:
      return null;
  }
}

/** Each character in lower case by itself. JavaScript gives a sigma at the end of a word its final form. */
function lowerCased(text: string): string {
  return text.includes('Σ') ? Array.from(text, (char) => char.toLowerCase()).join('') : text.toLowerCase();
}

/** The text with `content` for each match. An empty match right behind another match does not count. */
function replaced(text: string, pattern: RegExp, content: string): string {
  let result = '';
  let at = 0;
  for (const { 0: found, index } of text.matchAll(pattern)) {
    if (found === '' && index === at && index > 0) continue;
    result += text.slice(at, index) + content;
    at = index + found.length;
  }
  return result + text.slice(at);
}

const CONTROL = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\uFFFD]/gu;
/** The characters that get blanks around them, as BERT has them. */
const CHINESE =
  /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu;

function normalizedForBert(text: string, form: NormalizerForm): string {
  let result = text;
  if (form.clean_text ?? true) result = result.replace(CONTROL, '').replace(/\p{White_Space}/gu, ' ');
  if (form.handle_chinese_chars ?? true) result = result.replace(CHINESE, ' $& ');
  if (form.strip_accents ?? form.lowercase ?? true) result = result.normalize('NFD').replace(/\p{Mn}/gu, '');
  return (form.lowercase ?? true) ? lowerCased(result) : result;
}
