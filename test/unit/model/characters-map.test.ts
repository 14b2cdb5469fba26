import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { normalizationByMap } from '../../../src/model/characters-map.js';

const { families } = JSON.parse(
  readFileSync(new URL('../../vectors/tokenizer-parts.json', import.meta.url), 'utf8'),
) as { families: { name: string; parts: { normalizer: { precompiled_charsmap: string } } }[] };
const table = families.find(({ name }) => name === 'a table of SentencePiece')!.parts.normalizer.precompiled_charsmap;

it('normalizes a grapheme, or its characters if it is long or not in the table', () => {
  const normalize = normalizationByMap(table);
  expect(normalize('A \ufb01\u200b\u4f60')).toBe('a fi ni');
  expect(normalize('e\u0301e')).toBe('ée');
  // A grapheme of eight bytes.
  expect(normalize('👍🏽')).toBe('+🏽');
  // `ab` is no grapheme.
  expect(normalize('ab')).toBe('ab');
});

it.each([
  ['', 'an empty table'],
  ['AAAA', 'no trie'],
  ['CAAAAA==', 'a trie that ends early'],
  ['AwAAAAAAAAA=', 'a broken unit'],
])('refuses a table that is damaged: %s, %s', (base64) => {
  expect(() => normalizationByMap(base64)).toThrow('precompiled_charsmap of its normalizer is damaged');
});
