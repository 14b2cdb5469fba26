import { BYTE_CHARS } from '../../src/model/byte-chars.js';

/** Text of the token that ends an answer; its id is the last one. */
export const END_TOKEN = '<|end|>';

/** Letters by how frequent they are in English; a space may only begin a token. */
const LETTERS = [...'etaoinshrdlcumwfgypbvkjxqz'];
const FIRSTS = [BYTE_CHARS[0x20]!, ...LETTERS];

/**
 * A tokenizer.json with a byte-level BPE vocabulary of `size` ids: 256 bytes, then tokens of letters, shorter ones first, each
 * made by a merge of an earlier token with a letter, and last the end token. Made by rule, not learned; every text can be encoded.
 */
export function synthTokenizer(size: number): unknown {
  const tokens = [...BYTE_CHARS];
  const merges: [string, string][] = [];
  let previous: readonly string[] = FIRSTS;
  while (tokens.length < size - 1) {
    const longer: string[] = [];
    for (const left of previous) {
      for (const letter of LETTERS) {
        if (tokens.length === size - 1) break;
        longer.push(left + letter);
        tokens.push(left + letter);
        merges.push([left, letter]);
      }
    }
    previous = longer;
  }
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [
      {
        id: size - 1,
        content: END_TOKEN,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      },
    ],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

/** Roles and contents in lines; the answer follows `assistant:`. */
export const CHAT_TEMPLATE =
  "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";
