import { SPECIAL_BYTE, specialBytes } from '../core/constraint/special-text.js';
import { TokenTrie } from '../core/constraint/token-trie.js';
import { Tokenizer, type TokenizerSource } from './tokenizer.js';

/**
 * The bytes of a model's tokens in programs of constraints.
 * @param vocab number of the graph's logits, which may exceed the number of tokens
 * @throws Refused if the tokenizer cannot be used
 */
export async function vocabularyOf(source: TokenizerSource, vocab: number): Promise<TokenTrie> {
  const tokenizer = await Tokenizer.load(source);
  const known = Math.min(vocab, tokenizer.vocabSize);
  const bytesOf = (id: number): Uint8Array | null => {
    if (id >= known) return null;
    if (tokenizer.specialIds.has(id)) return specialBytes(tokenizer.decode([id]));
    const bytes = tokenizer.tokenBytes(id);
    return bytes.includes(SPECIAL_BYTE) ? null : bytes;
  };
  const bytes = Array.from({ length: vocab }, (_, id) => bytesOf(id));
  return new TokenTrie(vocab, (id) => bytes[id]!);
}
