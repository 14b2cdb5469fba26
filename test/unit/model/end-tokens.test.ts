import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type EndTokenSources, endTokenIds } from '../../../src/model/end-tokens.js';
import { scratchFolder } from './folders.js';

let tokenizerPath: string;

beforeAll(async () => {
  tokenizerPath = join(await scratchFolder(), 'tokenizer.json');
  const added_tokens = [{ id: 11, content: '<|im_end|>', special: true }];
  await writeFile(tokenizerPath, JSON.stringify({ added_tokens, model: { vocab: { '</s>': 2, a: 3 } } }));
});

const idsOf = (sources: Partial<EndTokenSources>) =>
  endTokenIds({ generationConfig: {}, config: {}, tokenizerConfig: {}, tokenizerPath, ...sources });

describe('the end tokens of a model', () => {
  it('are those of all its files', async () => {
    const ids = await idsOf({
      generationConfig: { eos_token_id: [7, 8] },
      config: { eos_token_id: 8, text_config: { eos_token_id: [9] } },
      tokenizerConfig: { eos_token: '<|im_end|>' },
    });
    expect(ids).toEqual([7, 8, 9, 11]);
  });

  it('are those of one file if the others name none', async () => {
    expect(await idsOf({ generationConfig: { eos_token_id: 7 } })).toEqual([7]);
    expect(await idsOf({ config: { eos_token_id: 7 } })).toEqual([7]);
    expect(await idsOf({ config: { text_config: { eos_token_id: 7 } } })).toEqual([7]);
    expect(await idsOf({ tokenizerConfig: { eos_token: '</s>' } })).toEqual([2]);
    expect(await idsOf({ tokenizerConfig: { eos_token: { __type: 'AddedToken', content: '</s>' } } })).toEqual([2]);
  });

  it('have their ids in tokenizer_config.json first, so that no vocabulary needs to be read', async () => {
    const tokenizerConfig = {
      eos_token: '</s>',
      added_tokens_decoder: { '4': { content: '<s>' }, '5': { content: '</s>' } },
    };
    expect(await idsOf({ tokenizerConfig, tokenizerPath: '/none' })).toEqual([5]);
  });

  it('are none where a file says -1, null or nonsense, or names a token that the vocabulary does not have', async () => {
    expect(await idsOf({ generationConfig: { eos_token_id: -1 }, config: { eos_token_id: [-1, 4] } })).toEqual([4]);
    expect(await idsOf({ config: { eos_token_id: null, text_config: 7 } })).toEqual([]);
    expect(await idsOf({ config: { eos_token_id: 'two' } })).toEqual([]);
    for (const eos_token of ['constructor', '<|other|>', null, 5]) {
      expect(await idsOf({ tokenizerConfig: { eos_token } })).toEqual([]);
    }
  });
});
