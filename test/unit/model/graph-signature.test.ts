import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { synthesize } from '../../../bench/synth/model-folder.js';
import { SYNTH_PRESETS } from '../../../bench/synth/spec.js';
import { Refused } from '../../../src/errors.js';
import { type ModelFolder, openModelFolder } from '../../../src/model/folder.js';
import { graphSignature } from '../../../src/model/graph-signature.js';
import type { Graph, GraphValue } from '../../../src/model/onnx/graph.js';
import { onnxNumber } from '../../../src/ort/element-type.js';
import { RECALL, scratchFolder } from './folders.js';

let recall: ModelFolder;
let concat: ModelFolder;

beforeAll(async () => {
  const scratch = await scratchFolder();
  const spec = { ...SYNTH_PRESETS.tiny, attention: 'concat', dtype: 'float16' } as const;
  await synthesize(spec, join(scratch, 'concat'));
  concat = await openModelFolder(join(scratch, 'concat'));
  recall = await openModelFolder(RECALL);
});

/** Recall's graph with each input replaced by the result of `change`, or removed if that is null. */
function withInputs(change: (input: GraphValue) => GraphValue | null): Graph {
  return { ...recall.graph, inputs: recall.graph.inputs.map(change).filter((input) => input !== null) };
}
const without = (name: string) => withInputs((input) => (input.name === name ? null : input));
const renamed = (from: string, to: string) =>
  withInputs((input) => (input.name === from ? { ...input, name: to } : input));
const positionsInSpace = (input: GraphValue) =>
  input.name === 'attention_mask' ? { ...input, name: 'position_ids', dims: [3, 'b', 's'] } : input;
/** Recall's graph with K/V of another element type. */
function ofType(elementCode: number): Graph {
  const changed = (value: GraphValue) => (value.dims.length === 4 ? { ...value, elementCode } : value);
  return { ...recall.graph, inputs: recall.graph.inputs.map(changed), outputs: recall.graph.outputs.map(changed) };
}
const state = (name: string, dims: readonly (number | string)[]): GraphValue => {
  const known = recall.graph.inputs.find((input) => input.dims.length === 4)!;
  return { ...known, name, dims: dims.map((dim) => (typeof dim === 'number' ? dim : null)) };
};
/** Recall's graph with an input of tokens of this shape. */
function shaped(name: string, dims: readonly (number | string)[]): Graph {
  const known = recall.graph.inputs.find((input) => input.name === 'input_ids')!;
  const others = recall.graph.inputs.filter((input) => input.name !== name);
  return { ...recall.graph, inputs: [...others, { ...known, name, dims: state(name, dims).dims }] };
}
/** Recall's graph with the state of one more layer. */
function withState(name: string, before: readonly (number | string)[], after = before): Graph {
  const output = name.replace(/past(_key_values)?/, 'present');
  return {
    ...recall.graph,
    inputs: [...recall.graph.inputs, state(name, before)],
    outputs: [...recall.graph.outputs, state(output, after)],
  };
}
const signatureOf = (graph: Graph) => graphSignature(graph, recall.config, 64);

describe('the signature of a graph', () => {
  it('is in-place for GroupQueryAttention', () => {
    const signature = graphSignature(recall.graph, recall.config, 64);
    expect(signature).toMatchObject({
      layout: { layers: 4, kvHeads: 2, headDim: 64, blockTokens: 64, elementType: 'float32' },
      kind: 'in-place',
      hasAttentionMask: true,
      hasPositionIds: false,
      logitsToKeep: null,
      logitsElementType: 'float32',
    });
    expect(signature.pastNames.slice(0, 3)).toEqual([
      'past_key_values.0.key',
      'past_key_values.0.value',
      'past_key_values.1.key',
    ]);
    expect(signature.presentNames.at(-1)).toBe('present.3.value');
  });

  it.each([
    ['past_conv.4', 'present_conv.4'],
    ['past.4.conv', 'present.4.conv'],
    ['past.4.recurrent', 'present.4.recurrent'],
    ['past_recurrent.4', 'present_recurrent.4'],
    ['past_key_values.4.conv_state', 'present.4.conv_state'],
    ['cache_params.past.ssm.4', 'cache_params.present.ssm.4'],
  ])('has the state %s of a layer without K/V, and is hand-on', (input, output) => {
    const { kind, layout, pastNames, stateNames } = signatureOf(withState(input, ['b', 8, 3]));
    expect(kind).toBe('hand-on');
    expect(layout).toMatchObject({ layers: 4, states: [{ dims: [8, 3], elementType: 'float32' }] });
    expect(pastNames).toHaveLength(8);
    expect(stateNames).toEqual([{ input, output }]);
  });

  it.each([
    [[], []],
    [[1], [1]],
  ] as const)('takes a number of logits of shape %j', (dims, logitsToKeepShape) => {
    expect(signatureOf(shaped('num_logits_to_keep', dims))).toMatchObject({
      logitsToKeep: 'num_logits_to_keep',
      logitsToKeepShape,
    });
  });

  it('takes the number of logits by the name that newer versions of transformers give it', () => {
    expect(signatureOf(shaped('logits_to_keep', []))).toMatchObject({
      logitsToKeep: 'logits_to_keep',
      logitsToKeepShape: [],
    });
  });

  it('takes outputs that keep more of the name of the input', () => {
    const long = (name: string) => name.replace('present', 'present_key_values');
    const { graph, config } = concat;
    const outputs = graph.outputs.map((output) => ({ ...output, name: long(output.name) }));
    const { presentNames, kind } = graphSignature({ ...graph, outputs }, config, 32);
    expect(presentNames).toEqual(graphSignature(graph, config, 32).presentNames.map(long));
    expect(kind).toBe('hand-on');
    const twice = withState('past_key_values.4.conv_state', ['b', 8, 3]);
    const renamedOutputs = twice.outputs.map((output) => ({ ...output, name: long(output.name) }));
    expect(signatureOf({ ...twice, outputs: renamedOutputs }).stateNames).toEqual([
      { input: 'past_key_values.4.conv_state', output: 'present_key_values.4.conv_state' },
    ]);
  });

  it('is hand-on if the graph concatenates K/V', () => {
    expect(graphSignature(concat.graph, concat.config, 32)).toMatchObject({
      layout: { layers: 2, kvHeads: 2, headDim: 16, blockTokens: 32, elementType: 'float16' },
      kind: 'hand-on',
      hasPositionIds: true,
      logitsToKeep: 'num_logits_to_keep',
    });
  });

  it('has the shapes of the graph, whatever config.json says', () => {
    const config = { ...recall.config, kvHeads: 7, headDim: null };
    expect(graphSignature(recall.graph, config, 64)).toEqual(graphSignature(recall.graph, recall.config, 64));
    expect(graphSignature(recall.graph, config, 64).layout).not.toHaveProperty('uneven');
  });

  it('has the shapes of config.json where the graph states none', () => {
    const symbolic = (value: GraphValue) =>
      value.dims.length === 4 ? { ...value, dims: ['b', 'h', 'p', 'd'] } : value;
    const graph = {
      ...{ ...recall.graph, inputs: recall.graph.inputs.map(symbolic) },
      outputs: recall.graph.outputs.map(symbolic),
    };
    expect(signatureOf(graph).layout).toMatchObject({ kvHeads: 2, headDim: 64 });
    expect(() => graphSignature(graph, { ...recall.config, kvHeads: null }, 64)).toThrow(/dimension 1 of K\/V/);
  });

  it('leaves out layers without K/V of their own', () => {
    const graph = withInputs((input) => (input.name.startsWith('past_key_values.1.') ? null : input));
    expect(signatureOf(graph)).toMatchObject({ layout: { layers: 3 }, kind: 'in-place' });
    expect(signatureOf(graph).pastNames[2]).toBe('past_key_values.2.key');
  });

  it.each(['int8', 'uint8', 'float8e4m3fn', 'float8e5m2'] as const)('may have K/V of %s', (elementType) => {
    expect(signatureOf(ofType(onnxNumber(elementType))).layout).toMatchObject({ elementType });
  });

  it('has the shape of each tensor if they differ', () => {
    const narrow = (value: GraphValue) =>
      value.name.endsWith('value') ? { ...value, dims: ['b', 2, 'p', 48] } : value;
    const graph = {
      ...recall.graph,
      inputs: recall.graph.inputs.map(narrow),
      outputs: recall.graph.outputs.map(narrow),
    };
    const { layout } = signatureOf(graph);
    expect(layout).toMatchObject({ kvHeads: 2, headDim: 64 });
    expect(layout.uneven?.slice(0, 3)).toEqual([
      { kvHeads: 2, headDim: 64 },
      { kvHeads: 2, headDim: 48 },
      { kvHeads: 2, headDim: 64 },
    ]);
  });

  it.each([
    [
      'the number of past tokens',
      [
        ['Shape', ['past_key_values.0.key'], 's'],
        ['Gather', ['s', 'at'], 'n'],
      ],
      2,
      'hand-on',
    ],
    [
      'it from the end',
      [
        ['Shape', ['past_key_values.1.value'], 's'],
        ['Gather', ['s', 'at'], 'n'],
      ],
      -2,
      'hand-on',
    ],
    [
      'it of a copy',
      [
        ['Cast', ['past_key_values.0.key'], 'c'],
        ['Shape', ['c'], 's'],
        ['Gather', ['s', 'at'], 'n'],
      ],
      2,
      'hand-on',
    ],
    [
      'the whole shape',
      [
        ['Shape', ['past_key_values.0.key'], 's'],
        ['Slice', ['s', 'at', 'at'], 'n'],
      ],
      2,
      'hand-on',
    ],
    ['past K/V itself', [['Concat', ['past_key_values.0.key', 'x'], 'n']], 2, 'hand-on'],
    [
      'the number of heads',
      [
        ['Shape', ['past_key_values.0.key'], 's'],
        ['Gather', ['s', 'at'], 'n'],
      ],
      1,
      'in-place',
    ],
    [
      'the batch',
      [
        ['Shape', ['past_key_values.0.key'], 's'],
        ['Gather', ['s', 'at'], 'n'],
      ],
      0,
      'in-place',
    ],
  ] as const)('of a graph that reads %s of past K/V besides', (_, added, at, kind) => {
    const { nodes, initializers } = recall.graph;
    const some = nodes[0]!;
    const extra = added.map(([opType, inputs, output]) => ({ ...some, opType, inputs, outputs: [output] }));
    const index = { name: 'at', elementCode: 7, dims: [], scalar: at, integers: null };
    const graph = { ...recall.graph, nodes: [...extra, ...nodes], initializers: [...initializers, index] };
    expect(signatureOf(graph).kind).toBe(kind);
  });

  it('is hand-on if a single layer does not use GroupQueryAttention', () => {
    let left = 1;
    const nodes = recall.graph.nodes.filter((node) => node.opType !== 'GroupQueryAttention' || left-- <= 0);
    expect(signatureOf({ ...recall.graph, nodes }).kind).toBe('hand-on');
  });

  it.each([
    ['an unknown input', () => renamed('attention_mask', 'use_cache_branch'), /"use_cache_branch"/],
    ['no token ids', () => without('input_ids'), /"input_ids"/],
    [
      'a layer with K alone',
      () => without('past_key_values.3.value'),
      /layer 3 has K or V alone: there is no input "past_key_values.3.value"/,
    ],
    [
      'a state without the one after a run',
      () => ({ ...recall.graph, inputs: [...recall.graph.inputs, state('past_conv.4', ['b', 8, 3])] }),
      /it has no output "present_conv.4"/,
    ],
    [
      'a state of unknown size',
      () => withState('past_conv.4', ['b', 'width', 3]),
      /"past_conv.4" has shape \[\?, \?, 3\]; .*must be known/,
    ],
    [
      'a state that changes its shape',
      () => withState('past_ssm.4', ['b', 8, 3], ['b', 8, 4]),
      /"past_ssm.4" and "present_ssm.4" differ in shape/,
    ],
    ['a state of an unknown name', () => renamed('attention_mask', 'conv_states'), /has an unknown name/],
    ['K and V in one', () => renamed('attention_mask', 'past_key_values.0.key_value'), /GPT-BigCode before/],
    ['an encoder', () => renamed('attention_mask', 'encoder_hidden_states'), /an encoder-decoder model/],
    ['images', () => renamed('attention_mask', 'pixel_values'), /sees or hears is not supported; use a text model/],
    ['embeddings', () => renamed('input_ids', 'inputs_embeds'), /embeddings instead of token ids/],
    ['positions in space', () => withInputs((input) => positionsInSpace(input)), /several coordinates/],
    [
      'positions in a row',
      () => shaped('position_ids', ['s']),
      /"position_ids" has shape \[\?\], not \[batch, tokens\]/,
    ],
    [
      'a mask for pairs of tokens',
      () => shaped('attention_mask', ['b', 1, 's', 't']),
      /"attention_mask" has shape \[\?, 1, \?, \?\], not \[batch, tokens\]/,
    ],
    ['ids in a row', () => shaped('input_ids', ['s']), /"input_ids" has shape \[\?\], not \[batch, tokens\]/],
    ['several numbers of logits', () => shaped('num_logits_to_keep', ['b', 1]), /not the shape of a number/],
    ['no past', () => withInputs((input) => (input.name.startsWith('past') ? null : input)), /"with past"/],
    [
      'no present',
      () => ({ ...recall.graph, outputs: recall.graph.outputs.filter(({ name }) => name !== 'present.2.key') }),
      /no output "present.2.key"/,
    ],
    [
      'past K/V of another shape than the present has',
      () => withInputs((input) => ({ ...input, dims: input.dims.length === 4 ? ['b', 8, 'p', 64] : input.dims })),
      /"past_key_values.0.key" and "present.0.key" differ in shape: 8 and 2 in dimension 1/,
    ],
    [
      'K/V with heads and batch in one dimension',
      () => withInputs((input) => ({ ...input, dims: input.dims.length === 4 ? ['b', 'p', 64] : input.dims })),
      /shape \[b, p, 64\], not \[batch, heads, tokens, size\]; export it with a newer version/,
    ],
    [
      'keys with the tokens last',
      () => withInputs((input) => ({ ...input, dims: input.dims.length === 4 ? ['b', 2, 64, 'p'] : input.dims })),
      /its third dimension is not the number of tokens/,
    ],
    [
      'K/V of integers of 32 bits',
      () => ofType(onnxNumber('int32')),
      /ONNX element type 6, which is not one of .*int8, uint8, float8e4m3fn/,
    ],
    [
      'K and V of different types',
      () => withInputs((input) => ({ ...input, elementCode: input.name.endsWith('2.value') ? 10 : input.elementCode })),
      /"past_key_values.2.value" is not float32/,
    ],
    [
      'token ids of 32 bits',
      () => withInputs((input) => ({ ...input, elementCode: 6 })),
      /"input_ids" has ONNX element type 6/,
    ],
  ])('is refused with the name of the input or output for %s', (_, graph, message) => {
    expect(() => signatureOf(graph())).toThrow(message);
    expect(() => signatureOf(graph())).toThrow(Refused);
  });
});
