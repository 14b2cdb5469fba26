import { describe, expect, it } from 'vitest';
import { Refused } from '../../../src/errors.js';
import { parseConfig } from '../../../src/model/config.js';

const LLAMA = {
  model_type: 'llama',
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  max_position_embeddings: 2048,
  vocab_size: 512,
};
const parsed = (json: unknown, graphVocab: number | null = null) => parseConfig(json, 'a/config.json', graphVocab);

describe('a config.json', () => {
  it.each([
    ['Llama', LLAMA, { modelType: 'llama', contextTokens: 2048, vocabSize: 512, kvHeads: 4, headDim: 16 }],
    [
      'GPT-2',
      { model_type: 'gpt2', n_embd: 768, n_layer: 12, n_head: 12, n_positions: 1024, n_ctx: 1024, vocab_size: 50257 },
      { contextTokens: 1024, vocabSize: 50257, kvHeads: 12, headDim: 64 },
    ],
    [
      'GPT-Neo',
      { model_type: 'gpt_neo', hidden_size: 768, num_heads: 12, max_position_embeddings: 2048, vocab_size: 50257 },
      { contextTokens: 2048, kvHeads: 12, headDim: 64 },
    ],
    [
      'BLOOM',
      { model_type: 'bloom', hidden_size: 1024, n_layer: 24, n_head: 16, vocab_size: 250880 },
      { contextTokens: 2048, kvHeads: 16, headDim: 64 },
    ],
    [
      'Falcon',
      { model_type: 'falcon', hidden_size: 4544, num_attention_heads: 71, multi_query: true, vocab_size: 65024 },
      { contextTokens: 2048, kvHeads: 1, headDim: 64 },
    ],
    [
      'OpenELM',
      { model_type: 'openelm', num_kv_heads: [3, 4], max_context_length: 2048, vocab_size: 32000, head_dim: 64 },
      { contextTokens: 2048, kvHeads: null, headDim: 64 },
    ],
    [
      'Gemma 3 with its decoder in a part of its own',
      { model_type: 'gemma3', eos_token_id: [1, 106], text_config: { ...LLAMA, model_type: 'gemma3_text' } },
      { modelType: 'gemma3_text', contextTokens: 2048, vocabSize: 512, headDim: 16 },
    ],
  ])('of %s is read', (_, json, expected) => {
    expect(parsed(json)).toMatchObject(expected);
  });

  it('may leave to the graph and to the family what it does not state', () => {
    const text_config = { hidden_size: 2560, model_type: 'gemma3_text', num_hidden_layers: 34 };
    const config = {
      modelType: 'gemma3_text',
      contextTokens: 131_072,
      vocabSize: 262_208,
      kvHeads: null,
      headDim: null,
      heads: null,
      hidden: 2560,
      innerWidth: null,
    };
    expect(parsed({ model_type: 'gemma3', text_config }, 262_208)).toEqual(config);
  });

  it.each([
    ['a vocabulary', { ...LLAMA, vocab_size: undefined }, /a\/config\.json: vocab_size is missing/],
    [
      'a context',
      { ...LLAMA, max_position_embeddings: null },
      /max_position_embeddings or n_positions or .* is missing/,
    ],
    ['a number', { ...LLAMA, vocab_size: 'many' }, /vocab_size: must be an? \w+;/],
  ])('without %s is refused', (_, json, message) => {
    expect(() => parsed(json)).toThrow(message);
    expect(() => parsed(json)).toThrow(Refused);
  });
});
