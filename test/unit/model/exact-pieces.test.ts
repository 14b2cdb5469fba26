import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { divided, type SplitBehavior } from '../../../src/model/exact-pieces.js';
import { Tokenizer } from '../../../src/model/tokenizer.js';

let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-pieces-'));
});

afterAll(() => rm(dir, { recursive: true, force: true }));

/** By the Rust tokenizers 0.22. */
const TEXT = ' the-final--countdown! ½ a1٣2';

it.each<[SplitBehavior, boolean, string[]]>([
  ['Removed', false, [' the', 'final', 'countdown', ' ½ a1٣2']],
  ['Removed', true, ['-', '-', '-', '!']],
  ['Isolated', false, [' the', '-', 'final', '-', '-', 'countdown', '!', ' ½ a1٣2']],
  ['Isolated', true, [' the', '-', 'final', '-', '-', 'countdown', '!', ' ½ a1٣2']],
  ['MergedWithPrevious', false, [' the-', 'final-', '-', 'countdown!', ' ½ a1٣2']],
  ['MergedWithPrevious', true, [' the', '-final', '-', '-countdown', '! ½ a1٣2']],
  ['MergedWithNext', false, [' the', '-final', '-', '-countdown', '! ½ a1٣2']],
  ['MergedWithNext', true, [' the-', 'final-', '-', 'countdown!', ' ½ a1٣2']],
  ['Contiguous', false, [' the', '-', 'final', '--', 'countdown', '!', ' ½ a1٣2']],
  ['Contiguous', true, [' the', '-', 'final', '--', 'countdown', '!', ' ½ a1٣2']],
])('divides a text with %s, inverted: %s', (behavior, isInverted, pieces) => {
  expect(divided(TEXT, /[-!]/gu, behavior, isInverted)).toEqual(pieces);
});

/** A tokenizer of bytes, whose merges would join all that stands together. */
async function tokenizer(model: object, pre_tokenizer: object | null, decoder: object): Promise<Tokenizer> {
  const tokenizerPath = join(dir, 'tokenizer.json');
  await writeFile(
    tokenizerPath,
    JSON.stringify({ added_tokens: [], model, pre_tokenizer, decoder, normalizer: null, post_processor: null }),
  );
  return Tokenizer.load({ tokenizerPath, tokenizerConfig: {}, config: { vocabSize: 400 } });
}

describe('a tokenizer', () => {
  it('writes characters without tokens as bytes in a Unigram vocabulary with byte fallback', async () => {
    const bytes = Array.from({ length: 256 }, (_, i) => [`<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`, 0]);
    const words = ['▁', 'a', 'b', 'ab', '▁ab', 'c', '\n'].map((word, i) => [word, -2 - i / 10]);
    const space = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: false };
    const vocab = [['<unk>', 0], ['<s>', 0], ['</s>', 0], ...bytes, ...words];
    const model = { type: 'Unigram', unk_id: 0, vocab, byte_fallback: true };
    const decoders = [{ type: 'ByteFallback' }, space, { type: 'Fuse' }];
    const loaded = await tokenizer(model, space, { type: 'Sequence', decoders });
    expect(loaded.encode('ab 🙂')).toEqual([263, 259, 243, 162, 156, 133]);
    for (const text of ['abz', 'é', 'a\nb', 'ab 🙂c']) expect(loaded.decode(loaded.encode(text))).toBe(text);
  });

  it.each([
    ['digits of all scripts', { type: 'Digits', individual_digits: true }, '½²', 2],
    ['runs of digits', { type: 'Digits', individual_digits: false }, 'a½²b', 3],
    ['punctuation', { type: 'Punctuation' }, '!?', 2],
    [
      'what a split with invert leaves between its matches',
      { type: 'Split', pattern: { Regex: '\\p{L}' }, behavior: 'Isolated', invert: true },
      '!ab?',
      4,
    ],
  ])('divides %s', async (_, divider, text, pieces) => {
    const chars = [...'a½²b!?'];
    const pairs = chars.flatMap((a) => chars.map((b) => [a, b] as const));
    const words = [...chars, ...pairs.map(([a, b]) => a + b)];
    const model = { type: 'BPE', vocab: Object.fromEntries(words.map((one, id) => [one, id])), merges: pairs };
    const loaded = await tokenizer(model, divider, {
      type: 'Sequence',
      decoders: [{ type: 'ByteFallback' }, { type: 'Fuse' }],
    });
    expect(loaded.encode(text)).toHaveLength(pieces);
  });
});
