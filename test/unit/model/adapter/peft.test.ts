import { describe, expect, it } from 'vitest';
import { widenFloat16 } from '../../../../src/core/sampling/half.js';
import { checkAdapter } from '../../../../src/model/adapter/check-adapter.js';
import { type LoraInput, loraInputs, loraName } from '../../../../src/model/adapter/lora-input.js';
import { convertPeft, peftScale } from '../../../../src/model/adapter/peft.js';
import type { NamedTensor } from '../../../../src/model/adapter/safetensors.js';

const MODULE = 'layers.0.self_attn.q_proj';
const input = (side: 'A' | 'B', elementType: 'float32' | 'float16' = 'float32'): LoraInput => ({
  name: `model.layers.0.attn.q_proj.lora_${side}.MatMul.weight`,
  module: MODULE,
  side,
  elementType,
  dims: side === 'A' ? [3, 'lora_r'] : ['lora_r', 2],
});
const tensor = (side: 'A' | 'B', dims: number[], values: number[]): NamedTensor => ({
  name: `base_model.model.model.${MODULE}.lora_${side}.weight`,
  elementType: 'float32',
  dims,
  data: new Uint8Array(Float32Array.from(values).buffer),
});
const A = tensor('A', [2, 3], [1, 2, 3, 4, 5, 6]);
const B = tensor('B', [2, 2], [1, 2, 3, 4]);
const floats = (data: Uint8Array) => [...new Float32Array(data.buffer, data.byteOffset, data.length / 4)];
const config = { peft_type: 'LORA', lora_alpha: 8 };

describe('an adapter of PEFT', () => {
  it('becomes parameters of the graph: transposed, with the factor in B', () => {
    const [a, b] = convertPeft([B, A], peftScale(config), [input('A'), input('B')]);
    expect(a).toMatchObject({ name: input('A').name, dims: [3, 2] });
    expect(floats(a!.data)).toEqual([1, 4, 2, 5, 3, 6]);
    expect(b).toMatchObject({ name: input('B').name, dims: [2, 2] });
    expect(floats(b!.data)).toEqual([4, 12, 8, 16]);
    expect(checkAdapter([a!, b!], [input('A'), input('B')])).toBe(2);
  });

  it('has the factor alpha / sqrt(rank) where it says so, and the type of the graph', () => {
    const scale = peftScale({ ...config, use_rslora: true });
    const [, b] = convertPeft([A, B], scale, [input('A', 'float16'), input('B', 'float16')]);
    const wide = new Float32Array(4);
    widenFloat16(new Uint16Array(b!.data.buffer), wide);
    expect([...wide].map((value) => Math.round(value * 100))).toEqual([566, 1697, 1131, 2263]);
  });

  it.each([
    [{ peft_type: 'LOHA' }, 'peft_type: is LOHA; only LORA'],
    [{ use_dora: true }, 'use_dora'],
    [{ bias: 'all' }, 'bias'],
    [{ modules_to_save: ['lm_head'] }, 'modules_to_save'],
    [{ alpha_pattern: { q_proj: 1 } }, 'alpha_pattern'],
    [{ lora_alpha: 'much' }, 'lora_alpha'],
  ])('with %o is refused', (changed, message) => {
    expect(() => peftScale({ ...config, ...changed })).toThrow(`adapter_config.json: ${message}`);
  });

  it('with a module that the graph has no inputs for is refused, and the modules that it has are named', () => {
    const other = { ...A, name: 'base_model.model.model.layers.0.mlp.up_proj.lora_A.weight' };
    expect(() => convertPeft([other], peftScale(config), [input('A')])).toThrow(
      'the graph has no input for lora_A of layers.0.mlp.up_proj; it takes adapters of the modules self_attn.q_proj',
    );
    const embedding = { ...A, name: 'base_model.model.model.embed_tokens.lora_embedding_A' };
    expect(() => convertPeft([embedding], peftScale(config), [input('A')])).toThrow('is not a lora_A or lora_B');
  });
});

describe('an adapter for a graph', () => {
  const inputs = [input('A'), input('B')];
  const [a, b] = convertPeft([A, B], peftScale(config), inputs) as [never, never];

  it.each([
    [[], 'has no parameters'],
    [[a], 'has lora_A of layers.0.self_attn.q_proj alone'],
    [[{ ...(a as object), name: 'x' }, b], 'the graph has no input "x"'],
    [[{ ...(a as object), elementType: 'float16' }, b], 'is float16, and the graph takes float32'],
    [[{ ...(a as object), dims: [2, 3] }, b], 'has shape [2, 3], and the graph takes [3, lora_r]'],
    [[{ ...(a as object), dims: [3, 4] }, b], 'have the ranks 4 and 2'],
  ])('of other parameters is refused: %#', (parameters, message) => {
    expect(() => checkAdapter(parameters as never, inputs)).toThrow(message);
  });

  it('is recognized by the names of its inputs, as trainers and exporters write them', () => {
    const named = { module: MODULE, side: 'A' };
    for (const name of [
      'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight',
      'base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight',
      'model.layers.0.self_attn.q_proj.lora_A.weight',
      'model.layers.0.attn.q_proj.lora_A.MatMul.weight',
      '/model/layers.0/attn/q_proj/lora_A/MatMul.weight',
    ])
      expect(loraName(name)).toEqual(named);
    expect(loraName('model.layers.0.self_attn.q_proj.weight')).toBeNull();
    const value = { elementCode: 1, place: {} as never };
    const optionalInputs = [
      { ...value, name: 'a.lora_A.weight', dims: [3, 'r'] },
      { ...value, name: 'weight', dims: [3, 4] },
    ];
    expect(loraInputs({ optionalInputs }).map(({ name }) => name)).toEqual(['a.lora_A.weight']);
  });
});
