import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Tokenizer } from '../../../src/model/tokenizer.js';
import { scratchFolder } from './folders.js';

/** Small tokenizers in the forms of well-known ones, and the ids that the reference library gives odd texts. */
interface Reference {
  readonly madeWith: string;
  readonly families: readonly {
    readonly name: string;
    readonly tokenizer: object;
    readonly config: Record<string, unknown>;
    readonly texts: readonly (readonly [text: string, ids: readonly number[]])[];
  }[];
}
const reference = JSON.parse(
  readFileSync(new URL('../../vectors/tokenizers.json', import.meta.url), 'utf8'),
) as Reference;

/** Two vocabularies with further normalizers, pre-tokenizers and added tokens. Their merges join what these keep apart. */
interface PartsReference {
  readonly madeWith: string;
  readonly bases: Readonly<Record<string, object>>;
  readonly families: readonly {
    readonly name: string;
    readonly base: string;
    readonly parts: object;
    readonly texts: readonly (readonly [text: string, ids: readonly number[]])[];
  }[];
}
const parts = JSON.parse(
  readFileSync(new URL('../../vectors/tokenizer-parts.json', import.meta.url), 'utf8'),
) as PartsReference;

async function load(tokenizer: object, tokenizerConfig: Record<string, unknown>): Promise<Tokenizer> {
  const tokenizerPath = join(await scratchFolder(), 'tokenizer.json');
  await writeFile(tokenizerPath, JSON.stringify(tokenizer));
  return Tokenizer.load({ tokenizerPath, tokenizerConfig, config: { vocabSize: 1_000 } });
}

describe(`a tokenizer, beside ${reference.madeWith}`, () => {
  it.each(reference.families)('gives the same ids: $name', async ({ tokenizer, config, texts }) => {
    const loaded = await load(tokenizer, config);
    const ids = texts.map(([text]) => [text, loaded.encode(text)]);
    expect(ids).toEqual(texts);
  });
});

describe(`a part of a tokenizer, beside ${parts.madeWith}`, () => {
  it.each(parts.families)('gives the same ids: $name', async ({ base, parts: own, texts }) => {
    const loaded = await load({ ...parts.bases[base], ...own }, {});
    const ids = texts.map(([text]) => [text, loaded.encode(text)]);
    expect(ids).toEqual(texts);
  });

  it('has no meaning that only tokenizers in Python have', async () => {
    const family = parts.families.find(({ name }) => name === 'marks that divide')!;
    const tokenizer = { ...parts.bases[family.base], ...family.parts };
    const loaded = await load(tokenizer, { remove_space: true, do_lowercase_and_remove_accent: true });
    expect(loaded.decode(loaded.encode('  The  KEY é'))).toBe('   The  KEY é'.slice(1));
  });
});

describe('the tokens around a text', () => {
  const { tokenizer, config } = reference.families.find(({ name }) => name === 'begin token by configuration')!;
  const [begin, end] = [0, 1];
  const edges = async (changes: Record<string, unknown>, json: object = tokenizer) => {
    const ids = (await load(json, { ...config, ...changes })).encode('key');
    return [ids[0] === begin, ids.at(-1) === end];
  };

  it('are those that a class of old adds by configuration', async () => {
    expect(await edges({})).toEqual([true, false]);
    expect(await edges({ add_bos_token: undefined })).toEqual([true, false]);
    expect(await edges({ add_bos_token: false })).toEqual([false, false]);
    expect(await edges({ add_eos_token: true })).toEqual([true, true]);
    expect(await edges({}, { ...tokenizer, post_processor: null })).toEqual([true, false]);
  });

  it('are none for a class that has no such configuration, or a token that the vocabulary does not have', async () => {
    expect(await edges({ tokenizer_class: 'PreTrainedTokenizerFast' })).toEqual([false, false]);
    expect(await edges({ tokenizer_class: undefined, add_bos_token: undefined })).toEqual([false, false]);
    expect(await edges({ bos_token: '<none>' })).toEqual([false, false]);
  });

  it('are those of tokenizer.json if it has a template', async () => {
    const single = [{ Sequence: { id: 'A', type_id: 0 } }];
    const post_processor = { type: 'TemplateProcessing', single, pair: [], special_tokens: {} };
    expect(await edges({}, { ...tokenizer, post_processor })).toEqual([false, false]);
  });

  it('are not added to a chat, whose template writes them', async () => {
    const loaded = await load(tokenizer, config);
    expect(loaded.encode('key', { addSpecialTokens: false })).not.toContain(begin);
  });
});

describe('a token of blanks', () => {
  it('has the bytes of the blanks, also where it is an added token', async () => {
    const { tokenizer } = reference.families.find(({ name }) => name === 'tokens of blanks')!;
    const loaded = await load(tokenizer, {});
    const ids = loaded.encode('x    key\n', { addSpecialTokens: false });
    expect(Buffer.concat(ids.map((id) => loaded.tokenBytes(id))).toString()).toBe('x    key\n');
    expect(ids.some((id) => loaded.tokenText(id) === '▁▁▁▁')).toBe(true);
  });

  it('begins a text with its blank if the decoder says so', async () => {
    const { tokenizer } = reference.families.find(({ name }) => name === 'tokens of blanks')!;
    const decoder = (prepend_scheme: string) => ({ type: 'Metaspace', replacement: '▁', prepend_scheme });
    const never = await load({ ...tokenizer, decoder: decoder('never') }, {});
    const always = await load({ ...tokenizer, decoder: decoder('always') }, {});
    const ids = never.encode(' key', { addSpecialTokens: false });
    expect([never.decode(ids), always.decode(ids)]).toEqual([' key', 'key']);
  });
});
