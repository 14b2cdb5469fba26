import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { InvalidRequest, Refused } from '../../../src/errors.js';
import { type ModelFolder, openModelFolder } from '../../../src/model/folder.js';
import { Tokenizer } from '../../../src/model/tokenizer.js';
import { RECALL, scratchFolder } from './folders.js';

let folder: ModelFolder;
let recall: Tokenizer;

beforeAll(async () => {
  folder = await openModelFolder(RECALL);
  recall = await Tokenizer.load(folder);
});

const textOf = (bytes: readonly Uint8Array[]) => Buffer.concat(bytes).toString();

/** A tokenizer with these contents, for a model with `vocabSize` ids. */
async function tokenizerOf(json: unknown, vocabSize: number): Promise<Tokenizer> {
  const tokenizerPath = join(await scratchFolder(), 'tokenizer.json');
  await writeFile(tokenizerPath, typeof json === 'string' ? json : JSON.stringify(json));
  return Tokenizer.load({ ...folder, tokenizerPath, config: { ...folder.config, vocabSize } });
}

/** Six tokens in SentencePiece form: pieces with a mark for spaces, and bytes for other text. */
const pieces = {
  version: '1.0',
  added_tokens: [{ id: 0, content: '<s>', special: true, normalized: false }],
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
  },
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
  model: {
    type: 'BPE',
    byte_fallback: true,
    unk_token: null,
    vocab: { '<s>': 0, '▁a': 1, '<0xC3>': 2, '<0xA9>': 3, '▁': 4, a: 5 },
    merges: [['▁', 'a']],
  },
};

describe('a byte-level tokenizer', () => {
  it('encodes recall’s words as one token each', () => {
    const ids = recall.encode('Notes:\nThe amber key is in the harbor.\n');
    expect(ids).toEqual([328, 58, 10, 258, 431, 505, 268, 272, 261, 755, 46, 10]);
    expect(ids.map((id) => recall.tokenText(id)).slice(3, 6)).toEqual(['The', 'Ġamber', 'Ġkey']);
  });

  it('decodes to the original text, as a whole and from the bytes of its tokens', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        const ids = recall.encode(text);
        expect(recall.decode(ids)).toBe(text);
        expect(textOf(ids.map((id) => recall.tokenBytes(id)))).toBe(text);
      }),
    );
  });

  it('splits an emoji over tokens whose bytes are not valid UTF-8', () => {
    const ids = recall.encode('👋🏽');
    expect(ids.length).toBeGreaterThan(2);
    expect(recall.decode(ids.slice(0, 1))).toBe('\uFFFD');
    expect(textOf(ids.map((id) => recall.tokenBytes(id)))).toBe('👋🏽');
  });

  it('encodes a lone surrogate as U+FFFD', () => {
    expect(recall.decode(recall.encode('a\uD800b'))).toBe('a\uFFFDb');
  });

  it('encodes the end token in a text, and can leave it out when decoding', () => {
    const ids = recall.encode('harbor<|end|>');
    expect(ids.at(-1)).toBe(989);
    expect(recall.specialIds).toEqual(new Set([989]));
    expect(recall.decode(ids)).toBe('harbor<|end|>');
    expect(recall.decode(ids, { skipSpecialTokens: true })).toBe('harbor');
    expect(textOf([recall.tokenBytes(989)])).toBe('<|end|>');
  });

  it('decodes an added token as its own text, even if its characters represent bytes', async () => {
    const json: unknown = JSON.parse(await readFile(folder.tokenizerPath, 'utf8'));
    const token = { id: 990, content: '<Ġé|>', special: true, normalized: false };
    const added_tokens = [token];
    const tokenizer = await tokenizerOf({ ...(json as object), added_tokens }, 991);
    expect(textOf([tokenizer.tokenBytes(990)])).toBe('<Ġé|>');
    expect(tokenizer.decode(tokenizer.encode('é<Ġé|>'))).toBe('é<Ġé|>');
  });

  it('encodes an empty text as no tokens, and vice versa', () => {
    expect(recall.encode('')).toEqual([]);
    expect(recall.decode([])).toBe('');
  });

  it('refuses ids that the model does not have', () => {
    expect(recall.vocabSize).toBe(990);
    for (const id of [-1, 990, 1.5, Number.NaN, 2 ** 32]) {
      expect(() => recall.decode([1, id])).toThrow(InvalidRequest);
      expect(() => recall.tokenText(id)).toThrow(/0 to 989/);
      expect(() => recall.tokenBytes(id)).toThrow(InvalidRequest);
    }
  });
});

describe('a tokenizer with byte fallback', () => {
  it('adds its begin token unless told otherwise', async () => {
    const tokenizer = await tokenizerOf(pieces, 6);
    expect(tokenizer.encode('a a')).toEqual([0, 1, 1]);
    expect(tokenizer.encode('a a', { addSpecialTokens: false })).toEqual([1, 1]);
    expect(tokenizer.decode([0, 1, 1], { skipSpecialTokens: true })).toBe('a a');
  });

  it('has exact bytes for each token, including the space before it', async () => {
    const tokenizer = await tokenizerOf(pieces, 6);
    expect(tokenizer.encode('é', { addSpecialTokens: false })).toEqual([4, 2, 3]);
    expect(textOf([1, 2, 3].map((id) => tokenizer.tokenBytes(id)))).toBe(' aé');
    expect(textOf([tokenizer.tokenBytes(0)])).toBe('<s>');
  });

  it('refuses characters without tokens', async () => {
    const tokenizer = await tokenizerOf({ ...pieces, model: { ...pieces.model, unk_token: '<unk>' } }, 6);
    expect(() => tokenizer.encode('ab')).toThrow(InvalidRequest);
  });
});

describe('loading a tokenizer', () => {
  it('gives an empty text to ids that the model has beyond its vocabulary', async () => {
    const tokenizer = await tokenizerOf(pieces, 8);
    expect(tokenizer.vocabSize).toBe(8);
    expect(tokenizer.tokenText(7)).toBe('');
    expect(tokenizer.tokenBytes(7)).toEqual(new Uint8Array(0));
    expect(tokenizer.decode([1, 7, 5])).toBe('aa');
    expect(tokenizer.decode([7])).toBe('');
  });

  it.each([
    ['damaged JSON', '{"model":'],
    ['no model', { decoder: { type: 'ByteLevel' } }],
    ['a vocabulary without exact bytes', { ...pieces, decoder: { type: 'WordPiece', prefix: '##', cleanup: true } }],
    ['no decoder', { ...pieces, decoder: null }],
  ])('is refused with %s', async (_, json) => {
    await expect(tokenizerOf(json, 6)).rejects.toThrow(Refused);
  });

  const model = (change: object) => ({ ...pieces, model: { ...pieces.model, ...change } });
  const vocab = pieces.model.vocab;
  it.each([
    ['the id of another', model({ vocab: { ...vocab, b: 5 } }), /1 of its 7 tokens have the id of another/],
    ['an id below 0', model({ vocab: { ...vocab, b: -1 } }), /model.vocab: "b" must have a whole number/],
    ['a text for an id', model({ vocab: { ...vocab, b: '6' } }), /model.vocab: "b" must have a whole number/],
    ['tokens without embeddings', model({ vocab: { ...vocab, b: 6 } }), /1 of its 7 tokens have ids from 6 on/],
    ['a list of tokens for BPE', model({ vocab: [['a', -1]] }), /model.vocab: must be an object .* of type BPE/],
    ['no merges', model({ merges: null }), /model.merges must be an array/],
    ['an unknown part', model({ merges: ['▁ b'] }), /merges: item 0 \("▁ b"\) needs the token "b", which model.vocab/],
    [
      'an unknown result',
      model({
        merges: [
          ['▁', 'a'],
          ['a', '▁'],
        ],
      }),
      /merges: item 1 .* needs the token "a▁"/,
    ],
    ['a name of every object', model({ merges: [['a', 'toString']] }), /needs the token "toString"/],
    ['a merge of three', model({ merges: ['▁ a a'] }), /merges: item 0 must have two tokens, got "▁ a a"/],
    ['a merge of numbers', model({ merges: [[1, 2]] }), /merges: item 0 must have two tokens, got \[1,2\]/],
    ['an object for Unigram', model({ type: 'Unigram' }), /model.vocab: must be an array .* of type Unigram/],
    ['a token without a score', model({ type: 'Unigram', vocab: [['a', -1], ['b']] }), /item 1 must be a token/],
    ['an unknown type', model({ type: 'WordPiece' }), /has the type "WordPiece"; supported are BPE and Unigram/],
    ['an added token without a text', { ...pieces, added_tokens: [{ id: 0 }] }, /added_tokens: .0.content/],
    ['an unknown normalizer', { ...pieces, normalizer: { type: 'New' } }, /Unknown Normalizer type: New/],
    ['half of its JSON', '{"model":', /it is not JSON; fetch it again/],
  ])('says what is wrong with %s', async (_, json, message) => {
    await expect(tokenizerOf(json, 6)).rejects.toThrow(message);
  });

  it.each([
    ['the head of merges.txt', { merges: ['#version: 0.2', '▁ a'] }],
    [
      'a prefix of tokens within words',
      { merges: [['a', '##a']], continuing_subword_prefix: '##', vocab: { ...vocab, '##a': 6, aa: 7 } },
    ],
  ])('may have merges with %s', async (_, change) => {
    await expect(tokenizerOf(model(change), 8)).resolves.toMatchObject({ vocabSize: 8 });
  });

  it('may have added tokens beyond the embeddings, as Gemma 3 has one for images', async () => {
    const image = { id: 6, content: '<image>', special: true, normalized: false };
    const tokenizer = await tokenizerOf({ ...pieces, added_tokens: [...pieces.added_tokens, image] }, 6);
    expect(tokenizer.vocabSize).toBe(6);
  });
});
