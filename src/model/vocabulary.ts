import { TokenTrie } from '../core/constraint/token-trie.js';
import { Tokenizer, type TokenizerSource } from './tokenizer.js';

/**
 * The bytes that a model's tokens add to a text. Special tokens add none.
 * @param vocab number of the graph's logits, which may exceed the number of tokens
 * @throws Refused if the tokenizer cannot be used
 */
export async function vocabularyOf(source: TokenizerSource, vocab: number): Promise<TokenTrie> {
  const tokenizer = await Tokenizer.load(source);
  const known = Math.min(vocab, tokenizer.vocabSize);
  return new TokenTrie(vocab, (id) => (id >= known || tokenizer.specialIds.has(id) ? null : tokenizer.tokenBytes(id)));
}
