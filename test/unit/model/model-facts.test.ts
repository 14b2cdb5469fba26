import { beforeAll, describe, expect, it } from 'vitest';
import { type ModelFolder, openModelFolder } from '../../../src/model/folder.js';
import { modelFacts } from '../../../src/model/model-facts.js';
import { RECALL } from './folders.js';

let folder: ModelFolder;

beforeAll(async () => {
  folder = await openModelFolder(RECALL);
});

const factsOf = (configJson: Record<string, unknown>, chatTemplate: string | null = null) =>
  modelFacts({ ...folder, configJson, chatTemplate });

describe('the facts about a model', () => {
  it.each([
    [{ rope_theta: 10_000 }, { type: 'default', theta: 10_000, factor: null }],
    [
      { rope_theta: 5e5, rope_scaling: { rope_type: 'llama3', factor: 8 } },
      { type: 'llama3', theta: 5e5, factor: 8 },
    ],
    [{ rope_scaling: { type: 'su' } }, { type: 'su', theta: null, factor: null }],
    [{ rope_parameters: { rope_type: 'yarn', rope_theta: 1e6 } }, { type: 'yarn', theta: 1e6, factor: null }],
    [{ text_config: { rope_theta: 1e4 } }, { type: 'default', theta: 1e4, factor: null }],
    [{ n_positions: 1_024 }, null],
    [{ rope_scaling: 'odd' }, null],
  ])('have its rotary embeddings: %j', (config, rope) => {
    expect(factsOf(config).rope).toEqual(rope);
  });

  it('have its window, unless config.json turns it off', () => {
    expect(factsOf({ sliding_window: 4_096 }).windowTokens).toBe(4_096);
    expect(factsOf({ text_config: { sliding_window: 512 } }).windowTokens).toBe(512);
    expect(factsOf({ sliding_window: 4_096, use_sliding_window: false }).windowTokens).toBeNull();
    expect(factsOf({ sliding_window: null }).windowTokens).toBeNull();
  });

  it('say whether its template takes tools', () => {
    expect(factsOf({}).template).toBe('none');
    expect(factsOf({}, '{{ messages }}tools').template).toBe('without tools');
    expect(factsOf({}, '{% if tools %}{{ tools | tojson }}{% endif %}').template).toBe('with tools');
  });

  it('have the architectures of the whole model', () => {
    const config = {
      architectures: ['Gemma3ForConditionalGeneration'],
      text_config: { architectures: ['Gemma3ForCausalLM'] },
    };
    expect(factsOf(config).architectures).toEqual(['Gemma3ForConditionalGeneration']);
  });
});
