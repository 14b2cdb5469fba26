import { describe, expect, it } from 'vitest';
import { memorySource } from '../../../../src/model/onnx/byte-source.js';
import { readGraph } from '../../../../src/model/onnx/graph.js';
import { lengthChoices, REGIME_TOKENS, withRegimeTokens } from '../../../../src/model/onnx/length-choices.js';
import {
  GRAPH,
  MODEL,
  type Node,
  nodeMessage,
  tensorMessage,
  valueMessage,
} from '../../../../src/model/onnx/messages.js';
import { bytesField } from '../../../../src/model/onnx/wire.js';

const NUMBERS = { axis: 1, zero: 0, one: 1, border: 4096, two: 2 };

/** A graph of a decoder's inputs, int64 constants and these nodes. */
function modelOf(...nodes: Node[]): Uint8Array {
  const inputs = ['input_ids', 'attention_mask', 'position_ids'].map((name) =>
    valueMessage(name, 7, ['batch', 'tokens']),
  );
  const constants = Object.entries(NUMBERS).map(([name, value]) =>
    tensorMessage({ name, type: 'int64', dims: [] }, BigInt64Array.of(BigInt(value))),
  );
  return bytesField(MODEL.graph, [
    ...nodes.map((node) => bytesField(GRAPH.node, nodeMessage(node))),
    ...constants.map((constant) => bytesField(GRAPH.initializer, constant)),
    ...inputs.map((input) => bytesField(GRAPH.input, input)),
  ]);
}

const node = (op: string, inputs: string[], output: string): Node => ({ op, inputs, outputs: [output] });
const find = (...nodes: Node[]) => lengthChoices(readGraph(memorySource(modelOf(...nodes))));

/** The total length, as a scalar, from the shape of the mask. */
const TOTAL = [node('Shape', ['attention_mask'], 'shape'), node('Gather', ['shape', 'axis'], 'total')];
const SELECT = node('Where', ['is_long', 'long', 'short'], 'table');

describe('finding choices by the length of a sequence', () => {
  it('ends for nodes that form a circle, and for long chains of nodes', () => {
    const circle = [node('Identity', ['b'], 'a'), node('Cast', ['a'], 'b')];
    expect(find(...circle, node('Greater', ['a', 'border'], 'is_long'), SELECT).kind).toBe('none');
    const chain = Array.from({ length: 50_000 }, (_, i) => node('Identity', [`n${i}`], `n${i + 1}`));
    expect(find(...chain, node('Greater', ['n50000', 'border'], 'is_long'), SELECT).kind).toBe('none');
  });

  it.each([
    ['Greater', ['total', 'border'], 4096],
    ['GreaterOrEqual', ['total', 'border'], 4095],
    ['Less', ['total', 'border'], 4095],
    ['LessOrEqual', ['total', 'border'], 4096],
    ['Greater', ['border', 'total'], 4095],
    ['GreaterOrEqual', ['border', 'total'], 4096],
    ['Less', ['border', 'total'], 4096],
    ['LessOrEqual', ['border', 'total'], 4095],
  ])('finds the border of %s(%s)', (op, inputs, borderTokens) => {
    expect(find(...TOTAL, node(op, inputs, 'is_long'), SELECT)).toMatchObject({ kind: 'border', borderTokens });
  });

  it.each([
    ['a sum of the mask', [node('ReduceSum', ['attention_mask', 'axis'], 'total')], 4096],
    ['the greatest position', [node('ReduceMax', ['position_ids'], 'total')], 4097],
    [
      'the greatest position plus one, as a float',
      [
        node('ReduceMax', ['position_ids'], 'last'),
        node('Add', ['last', 'one'], 'sum'),
        node('Cast', ['sum'], 'total'),
      ],
      4096,
    ],
    [
      'the tokens of the run and of its past',
      [
        node('Shape', ['input_ids'], 'new_shape'),
        node('Gather', ['new_shape', 'axis'], 'new'),
        node('Shape', ['past_key_values.0.key'], 'past_shape'),
        node('Gather', ['past_shape', 'two'], 'past'),
        node('Add', ['new', 'past'], 'total'),
      ],
      4096,
    ],
  ])('takes %s for the length', (_, nodes, borderTokens) => {
    expect(find(...nodes, node('Greater', ['total', 'border'], 'is_long'), SELECT)).toMatchObject({ borderTokens });
  });

  it('finds a border that is the attribute of a Constant, as exporters by torch.onnx.export(dynamo=True) write it', () => {
    const whole: Node = { op: 'Constant', inputs: [], outputs: ['whole'], attributes: { value_int: 512n } };
    const compared = node('Greater', ['total', 'whole'], 'is_long');
    expect(find(whole, ...TOTAL, compared, SELECT)).toMatchObject({ kind: 'border', borderTokens: 512 });
    const list: Node = { ...whole, attributes: { value_ints: [512n] } };
    expect(find(list, ...TOTAL, compared, SELECT)).toMatchObject({ kind: 'border', borderTokens: 512 });
  });

  it('finds the condition of an If, and one that passes other operators', () => {
    const compared = node('Greater', ['total', 'border'], 'greater');
    expect(find(...TOTAL, compared, node('If', ['greater'], 'table'))).toMatchObject({ kind: 'border' });
    const passed = [node('Not', ['greater'], 'not'), node('Unsqueeze', ['not', 'zero'], 'is_long')];
    expect(find(...TOTAL, compared, ...passed, SELECT)).toMatchObject({ kind: 'border' });
  });

  it('does not take a mask for a choice, nor whether there is more than one token', () => {
    const causal = [node('Range', ['zero', 'total', 'one'], 'columns'), node('Less', ['columns', 'border'], 'is_long')];
    expect(find(...TOTAL, ...causal, SELECT)).toEqual({ kind: 'none' });
    expect(find(node('Greater', ['attention_mask', 'zero'], 'is_long'), SELECT)).toEqual({ kind: 'none' });
    expect(find(...TOTAL, node('Greater', ['total', 'one'], 'is_long'), SELECT)).toEqual({ kind: 'none' });
    expect(find(...TOTAL, node('Greater', ['total', 'border'], 'is_long'))).toEqual({ kind: 'none' });
  });

  it('does not recognise two borders, or a length that is only a part of the sequence', () => {
    const second = [node('Greater', ['total', 'two'], 'other'), node('Where', ['other', 'long', 'short'], 'b')];
    const first = node('Greater', ['total', 'border'], 'is_long');
    expect(find(...TOTAL, first, SELECT, ...second)).toMatchObject({ kind: 'unrecognised' });
    const run = [node('Shape', ['input_ids'], 'shape'), node('Gather', ['shape', 'axis'], 'total')];
    expect(find(...run, first, SELECT)).toMatchObject({ kind: 'unrecognised' });
  });

  it('does not recognise a border whose element type only an operator knows', () => {
    const cast = node('Cast', ['border'], 'other_type');
    expect(find(...TOTAL, cast, node('Greater', ['total', 'other_type'], 'is_long'), SELECT)).toMatchObject({
      kind: 'unrecognised',
    });
  });

  it('does not recognise a frequency that is computed from the length, as dynamic NTK scaling does', () => {
    const ntk = [
      node('Cast', ['total'], 'length'),
      node('Div', ['length', 'border'], 'ratio'),
      node('Pow', ['ratio', 'exponent'], 'base'),
    ];
    expect(find(...TOTAL, ...ntk)).toMatchObject({ kind: 'unrecognised', reason: expect.stringContaining('Pow') });
  });

  it('knows positions, which are computed from lengths too, from frequencies', () => {
    const positions = [
      node('Range', ['zero', 'total', 'one'], 'range'),
      node('Add', ['range', 'total'], 'positions'),
      node('Mul', ['positions', 'frequencies'], 'angles'),
      node('Cos', ['angles'], 'cos'),
    ];
    expect(find(...TOTAL, ...positions)).toEqual({ kind: 'none' });
  });
});

it('makes the length of all choices an input', () => {
  const choice = node('Greater', ['total', 'border'], 'is_long');
  const edited = readGraph(memorySource(withRegimeTokens(modelOf(...TOTAL, choice, SELECT))));
  expect(edited.inputs.map(({ name }) => name)).toContain(REGIME_TOKENS);
  const compared = edited.nodes.find(({ opType }) => opType === 'Greater')!;
  expect(compared.inputs).toEqual(['shoal.length0', 'border']);
  expect(lengthChoices(edited)).toEqual({ kind: 'none' });
});
