import { describe, expect, it } from 'vitest';
import { memorySource } from '../../../../src/model/onnx/byte-source.js';
import { flatGraph } from '../../../../src/model/onnx/flat-nodes.js';
import { readGraph } from '../../../../src/model/onnx/graph.js';
import {
  ATTRIBUTE,
  FUNCTION,
  GRAPH,
  MODEL,
  NODE,
  type Node,
  nodeMessage,
  tensorMessage,
  valueMessage,
} from '../../../../src/model/onnx/messages.js';
import { tokenFlow } from '../../../../src/model/onnx/token-flow.js';
import { bytesField, join } from '../../../../src/model/onnx/wire.js';

const SCALARS = { zero: 0, one: 1, two: 2, last: -1, border: 4096, far: 2 ** 40, base: 10_000, exponent: 1.03 };

function modelOf(nodes: readonly (Node | Uint8Array)[], functions: readonly Uint8Array[]): Uint8Array {
  const inputs = ['input_ids', 'attention_mask', 'position_ids', 'past_key_values.0.key'].map((name) =>
    bytesField(GRAPH.input, valueMessage(name, 7, [])),
  );
  const scalars = Object.entries(SCALARS).map(([name, value]) =>
    tensorMessage({ name, type: 'int64', dims: [] }, BigInt64Array.of(BigInt(Math.trunc(value)))),
  );
  const tables = ['frequencies', 'long', 'short', 'embeddings', 'codes'].map((name) =>
    tensorMessage({ name, type: 'float32', dims: [2, 4] }, new Float32Array(8)),
  );
  const vector = tensorMessage({ name: 'whole', type: 'int64', dims: [1] }, BigInt64Array.of(-1n));
  return join([
    bytesField(MODEL.graph, [
      ...nodes.map((node) => bytesField(GRAPH.node, node instanceof Uint8Array ? node : nodeMessage(node))),
      ...[...scalars, ...tables, vector].map((tensor) => bytesField(GRAPH.initializer, tensor)),
      ...inputs,
    ]),
    ...functions.map((body) => bytesField(MODEL.function, body)),
  ]);
}

const n = (op: string, inputs: string[], output: string, attributes: Node['attributes'] = {}): Node => ({
  ...{ op, inputs, outputs: [output], attributes },
});
const flow = (nodes: readonly (Node | Uint8Array)[], functions: readonly Uint8Array[] = []) =>
  tokenFlow(flatGraph(readGraph(memorySource(modelOf(nodes, functions)))), new Set());

/** Hidden states, whose queries are turned by `cos`, a tensor of the positions. */
const TURNED = [n('Gather', ['embeddings', 'input_ids'], 'hidden'), n('Mul', ['hidden', 'cos'], 'query')];
const turnedBy = (frequencies: string) => [
  n('Cast', ['position_ids'], 'positions'),
  n('Mul', ['positions', frequencies], 'angles'),
  n('Cos', ['angles'], 'cos'),
  ...TURNED,
];
const TOTALS: Readonly<Record<string, readonly Node[]>> = {
  'the shape of the mask': [n('Shape', ['attention_mask'], 'shape'), n('Gather', ['shape', 'one'], 'total')],
  'one dimension of the shape of the mask': [n('Shape', ['attention_mask'], 'total', { start: 1n, end: 2n })],
  'the sum of the mask': [n('ReduceSum', ['attention_mask', 'whole'], 'total')],
  'the greatest position': [n('ReduceMax', ['position_ids'], 'greatest'), n('Add', ['greatest', 'one'], 'total')],
  'the last position': [
    n('Gather', ['position_ids', 'last'], 'final', { axis: 1n }),
    n('Add', ['final', 'one'], 'total'),
  ],
  'a slice of the positions': [n('Slice', ['position_ids', 'last', 'border', 'one'], 'total')],
  'the tokens of keys and of past ones': [
    n('Gather', ['embeddings', 'input_ids'], 'tokens'),
    n('MatMul', ['tokens', 'long'], 'keys'),
    ...[n('Shape', ['keys'], 'keys_shape'), n('Gather', ['keys_shape', 'one'], 'new')],
    ...[n('Shape', ['past_key_values.0.key'], 'past_shape'), n('Gather', ['past_shape', 'two'], 'past')],
    n('Add', ['new', 'past'], 'total'),
  ],
  'the end of a range': [
    ...[n('Shape', ['input_ids'], 'shape'), n('Gather', ['shape', 'one'], 'new')],
    ...[n('Range', ['zero', 'new', 'one'], 'range'), n('ReduceMax', ['range'], 'total')],
  ],
};
const THE_TOTAL = TOTALS['the shape of the mask']!;

/** Frequencies as dynamic NTK scaling has them: `base * max(total / border, 1) ^ exponent`. */
const NTK = [
  ...[
    n('Div', ['total', 'border'], 'ratio'),
    n('Max', ['ratio', 'one'], 'more'),
    n('Pow', ['more', 'exponent'], 'power'),
  ],
  ...[n('Mul', ['power', 'base'], 'bases'), n('Pow', ['bases', 'frequencies'], 'scaled')],
];

const withBodies = (node: Node, ...bodies: Uint8Array[]) =>
  join([
    nodeMessage(node),
    ...bodies.map((body, i) =>
      bytesField(NODE.attribute, [bytesField(ATTRIBUTE.name, `body${i}`), bytesField(ATTRIBUTE.graph, body)]),
    ),
  ]);
const body = (output: string, ...nodes: (Node | Uint8Array)[]) =>
  join([
    ...nodes.map((node) => bytesField(GRAPH.node, node instanceof Uint8Array ? node : nodeMessage(node))),
    bytesField(GRAPH.output, valueMessage(output, 1, [])),
  ]);
const functionOf = (name: string, inputs: string[], output: string, ...nodes: Node[]) =>
  join([
    bytesField(FUNCTION.name, name),
    ...inputs.map((input) => bytesField(FUNCTION.input, input)),
    bytesField(FUNCTION.output, output),
    ...nodes.map((node) => bytesField(FUNCTION.node, nodeMessage(node))),
    bytesField(FUNCTION.domain, 'own'),
  ]);

describe('finding numbers that depend on the length of a sequence', () => {
  it.each(Object.entries(TOTALS))('takes %s for the length', (_, total) => {
    expect(flow([...total, ...NTK, ...turnedBy('scaled')]).byLength).toMatch(/depends on the length of the sequence/);
  });

  it.each([
    ['Pow', NTK],
    ['Log', [n('Log', ['total'], 'log'), n('Mul', ['log', 'frequencies'], 'scaled')]],
    ['Ceil', [n('Ceil', ['total'], 'ceiling'), n('Mul', ['ceiling', 'frequencies'], 'scaled')]],
    ['Clip', [n('Clip', ['total', 'border'], 'bound'), n('Div', ['frequencies', 'bound'], 'scaled')]],
    ['Where', [n('Greater', ['total', 'border'], 'is'), n('Where', ['is', 'long', 'short'], 'scaled')]],
    [
      'Equal',
      [
        n('Max', ['total', 'border'], 'm'),
        n('Equal', ['m', 'border'], 'is'),
        n('Where', ['is', 'long', 'short'], 'scaled'),
      ],
    ],
    [
      'a sum with a border',
      [
        n('Sub', ['total', 'border'], 'over'),
        n('Greater', ['over', 'zero'], 'is'),
        n('Where', ['is', 'long', 'short'], 'scaled'),
      ],
    ],
    ['Gather', [n('Div', ['total', 'border'], 'times'), n('Gather', ['frequencies', 'times'], 'scaled')]],
    [
      'Slice',
      [n('Div', ['total', 'border'], 'times'), n('Slice', ['frequencies', 'times', 'border', 'zero'], 'scaled')],
    ],
    [
      'an If',
      [
        n('Less', ['total', 'border'], 'is'),
        withBodies(
          n('If', ['is'], 'scaled'),
          body('a', n('Identity', ['short'], 'a')),
          body('b', n('Identity', ['long'], 'b')),
        ),
      ],
    ],
    [
      'an If within an If',
      [
        withBodies(
          n('If', ['input_ids'], 'scaled'),
          body('a', n('Log', ['total'], 'a')),
          body('b', n('Identity', ['long'], 'b')),
        ),
      ],
    ],
    [
      'a Loop',
      [
        n('Max', ['total', 'border'], 'turns'),
        withBodies(n('Loop', ['turns', '', 'short'], 'scaled'), body('a', n('Identity', ['long'], 'a'))),
      ],
    ],
  ])('finds frequencies that are chosen or computed by %s', (_, nodes) => {
    expect(flow([...THE_TOTAL, ...nodes, ...turnedBy('scaled')]).byLength).not.toBeNull();
  });

  /** Conditions on how far a sequence reaches, for each row, as exporters may spell them. */
  const FAR = [n('Greater', ['position_ids', 'border'], 'far'), n('Cast', ['far'], 'seen', { to: 1n })];
  const SCALED = [n('Cast', ['position_ids'], 'places'), ...THE_TOTAL];
  it.each<[string, readonly Node[]]>([
    ['any of a row', [...FAR, n('ReduceMax', ['seen'], 'is', { axes: [-1n] })]],
    ['a sum of a row', [...FAR, n('ReduceSum', ['seen', 'whole'], 'is')]],
    ['a mean of a row', [...FAR, n('ReduceMean', ['seen'], 'is', { axes: [-1n] })]],
    ['a norm of a row', [...FAR, n('ReduceL2', ['seen'], 'is', { axes: [-1n] })]],
    ['the greatest of a row', [n('TopK', ['position_ids', 'whole'], 'top'), n('Greater', ['top', 'border'], 'is')]],
    ['an Einsum', [...FAR, n('Einsum', ['seen'], 'is')]],
    [
      'a product with ones',
      [...FAR, ...[n('Unsqueeze', ['seen', 'one'], 'row'), n('MatMul', ['row', 'frequencies'], 'is')]],
    ],
    [
      'a product of ones',
      [...FAR, n('Unsqueeze', ['seen', 'last'], 'column'), n('MatMul', ['frequencies', 'column'], 'is')],
    ],
    ['a softmax of positions', [n('Softmax', ['position_ids'], 'is')]],
    ['a pool', [...FAR, n('GlobalAveragePool', ['seen'], 'is')]],
    ['the last of a row', [...FAR, n('GatherElements', ['seen', 'whole'], 'is')]],
    ['the last column', [...FAR, n('Gather', ['seen', 'last'], 'is', { axis: 1n })]],
    ['a slice from the end', [...FAR, n('Slice', ['seen', 'last', 'border', 'one'], 'is')]],
    ['the negated length', [...THE_TOTAL, n('Neg', ['total'], 'minus'), n('Less', ['minus', 'last'], 'is')]],
    [
      'a range from the length on',
      [
        ...[...THE_TOTAL, n('Add', ['total', 'one'], 'next'), n('Range', ['total', 'next', 'one'], 'range')],
        n('Greater', ['range', 'border'], 'is'),
      ],
    ],
    [
      'a row of a table at the length',
      [...THE_TOTAL, n('Add', ['total', 'one'], 'next'), n('Slice', ['short', 'total', 'next'], 'is')],
    ],
    [
      'a row of a table from the end',
      [...THE_TOTAL, n('Neg', ['total'], 'm'), n('Slice', ['short', 'm', 'far'], 'is')],
    ],
    [
      'how many tokens are beyond a border',
      [
        n('Slice', ['position_ids', 'border', 'far', 'one'], 'rest'),
        n('Size', ['rest'], 'z'),
        n('Greater', ['z', 'border'], 'is'),
      ],
    ],
    [
      'whether a token is beyond a border',
      [
        ...[n('Slice', ['position_ids', 'border', 'far', 'one'], 'rest'), n('Shape', ['rest'], 's')],
        ...[n('Gather', ['s', 'one'], 'count'), n('Greater', ['count', 'zero'], 'is')],
      ],
    ],
    ['which are beyond a border', [...FAR, n('NonZero', ['far'], 'found'), n('Greater', ['found', 'zero'], 'is')]],
    ['the distance from the end', [...SCALED, n('Sub', ['total', 'places'], 'd'), n('Greater', ['d', 'border'], 'is')]],
    [
      'the part of the length',
      [...SCALED, n('Div', ['places', 'total'], 'part'), n('Greater', ['part', 'zero'], 'is')],
    ],
    [
      'a sum of ones',
      [
        ...THE_TOTAL,
        n('ConstantOfShape', ['total'], 'ones'),
        n('ReduceSum', ['ones'], 't'),
        n('Greater', ['t', 'border'], 'is'),
      ],
    ],
    ['an operator that nobody knows', [n('Novel', ['position_ids'], 'is')]],
  ])('finds frequencies that are chosen by %s', (_, nodes) => {
    expect(
      flow([...nodes, n('Where', ['is', 'long', 'short'], 'scaled'), ...turnedBy('scaled')]).byLength,
    ).not.toBeNull();
  });

  it('finds a base that rises with the tokens beyond a border', () => {
    const nodes = [...FAR, n('ReduceSum', ['seen', 'whole'], 'beyond'), n('Div', ['frequencies', 'beyond'], 'scaled')];
    expect(flow([...nodes, ...turnedBy('scaled')]).byLength).not.toBeNull();
  });

  it.each<[string, readonly Node[]]>([
    [
      'a mask of a window',
      [
        n('Gather', ['embeddings', 'input_ids'], 'hidden'),
        n('Sub', ['total', 'border'], 'f'),
        n('Max', ['f', 'zero'], 'from'),
        n('Range', ['zero', 'total', 'one'], 'keys'),
        n('Greater', ['keys', 'from'], 'seen'),
        n('Where', ['seen', 'zero', 'last'], 'mask'),
        n('Add', ['hidden', 'mask'], 'scores'),
      ],
    ],
    [
      'a mask that is written into a larger one',
      [
        n('Gather', ['embeddings', 'input_ids'], 'hidden'),
        n('Range', ['zero', 'total', 'one'], 'keys'),
        n('Div', ['total', 'two'], 'half'),
        n('ScatterND', ['keys', 'half', 'keys'], 'mask'),
        n('Add', ['hidden', 'mask'], 'scores'),
      ],
    ],
  ])('takes %s for a dependence where it reaches back from the end', (_, nodes) => {
    expect(flow([...THE_TOTAL, ...nodes]).byLength).not.toBeNull();
  });

  it('lets biases that count from the end pass into a softmax alone', () => {
    const biased = [
      ...[...THE_TOTAL, n('Neg', ['total'], 'minus'), n('Slice', ['long', 'minus', 'far'], 'bias')],
      ...[n('Gather', ['embeddings', 'input_ids'], 'hidden'), n('Add', ['hidden', 'bias'], 'scores')],
    ];
    expect(flow([...biased, n('Softmax', ['scores'], 'weights'), n('Cos', ['weights'], 'used')]).byLength).toBeNull();
    expect(flow([...biased, n('Cos', ['scores'], 'used')]).byLength).not.toBeNull();
  });

  it('looks into functions of the model, also within each other', () => {
    const power = functionOf('Inner', ['x'], 'y', n('Log', ['x'], 'y'));
    const outer = functionOf(
      'Outer',
      ['a', 'b'],
      'c',
      { ...n('Inner', ['a'], 'm'), domain: 'own' },
      n('Mul', ['m', 'b'], 'c'),
    );
    const call = { ...n('Outer', ['total', 'frequencies'], 'scaled'), domain: 'own' };
    expect(flow([...THE_TOTAL, call, ...turnedBy('scaled')], [power, outer]).byLength).toMatch(/Log/);
    const harmless = functionOf('Outer', ['a', 'b'], 'c', n('Identity', ['b'], 'c'));
    expect(flow([...THE_TOTAL, call, ...turnedBy('scaled')], [harmless]).byLength).toBeNull();
  });

  it('finds tables of an attention, and queries, that are scaled by the length', () => {
    const bent = [...THE_TOTAL, n('Log', ['total'], 'log')];
    const hidden = n('Gather', ['embeddings', 'input_ids'], 'hidden');
    expect(flow([...bent, hidden, n('Mul', ['hidden', 'log'], 'query')]).byLength).not.toBeNull();
    const chosen = [n('Greater', ['total', 'border'], 'is'), n('Where', ['is', 'long', 'short'], 'cos')];
    const attention = n('GroupQueryAttention', ['hidden', '', '', '', '', 'seqlens', 'total', 'cos'], 'attended');
    expect(flow([...THE_TOTAL, ...chosen, hidden, attention]).byLength).not.toBeNull();
  });

  it.each<[string, readonly Node[]]>([
    ['positions', turnedBy('frequencies')],
    [
      'positions of a range',
      [
        n('Range', ['zero', 'total', 'one'], 'range'),
        n('Unsqueeze', ['range', 'one'], 'column'),
        n('MatMul', ['column', 'frequencies'], 'angles'),
        n('Cos', ['angles'], 'cos'),
        ...TURNED,
      ],
    ],
    [
      'quantized embeddings of positions, as GPT-2 has them in q8',
      [
        n('Gather', ['embeddings', 'input_ids'], 'hidden'),
        n('Gather', ['codes', 'position_ids'], 'picked'),
        n('DequantizeLinear', ['picked', 'long', 'zero'], 'places'),
        n('Add', ['hidden', 'places'], 'placed'),
      ],
    ],
    [
      'quantized embeddings of positions, as GPT-2 has them in q4',
      [
        n('GatherBlockQuantized', ['codes', 'input_ids', 'long'], 'hidden', { gather_axis: 0n }),
        n('GatherBlockQuantized', ['codes', 'position_ids', 'long'], 'places', { gather_axis: 0n }),
        n('Add', ['hidden', 'places'], 'placed'),
      ],
    ],
    [
      'rows of a table up to the length',
      [n('Slice', ['long', 'zero', 'total', 'zero'], 'rows'), n('Gather', ['rows', 'position_ids'], 'cos'), ...TURNED],
    ],
    [
      'shapes',
      [
        n('Gather', ['embeddings', 'input_ids'], 'hidden'),
        n('Shape', ['hidden'], 's'),
        n('ConstantOfShape', ['s'], 'ones'),
        n('Equal', ['s', 'ones'], 'e'),
        n('Where', ['e', 'ones', 's'], 'chosen'),
        n('Expand', ['hidden', 'chosen'], 'expanded'),
      ],
    ],
    [
      'the size of a head',
      [
        n('Gather', ['embeddings', 'input_ids'], 'hidden'),
        n('Shape', ['hidden'], 's'),
        n('Slice', ['s', 'last', 'border'], 'size'),
        n('Sqrt', ['size'], 'root'),
        n('Div', ['hidden', 'root'], 'scaled'),
      ],
    ],
    [
      'the numbers of tokens of an attention',
      [
        n('Gather', ['embeddings', 'input_ids'], 'hidden'),
        n('Max', ['total', 'one'], 'm'),
        n('GroupQueryAttention', ['hidden', '', '', '', '', 'm', 'm', 'long'], 'attended'),
      ],
    ],
    [
      'whether there is more than one token',
      [
        n('Gather', ['embeddings', 'input_ids'], 'hidden'),
        n('Greater', ['total', 'one'], 'is'),
        n('Where', ['is', 'long', 'short'], 'table'),
        n('Mul', ['hidden', 'table'], 'product'),
      ],
    ],
  ])('does not take %s for a dependence', (_, nodes) => {
    expect(flow([...THE_TOTAL, ...nodes])).toMatchObject({ byLength: null, byRun: null });
  });
});

describe('finding numbers that depend on the tokens of a run', () => {
  const hidden = n('Gather', ['embeddings', 'input_ids'], 'hidden');

  it.each([
    ['all axes', [n('ReduceMax', ['hidden'], 'r')]],
    ['the axis of tokens', [n('ReduceMin', ['hidden'], 'r', { axes: [1n] })]],
    ['the axes of batch and tokens', [n('ReduceMax', ['hidden'], 'r', { axes: [0n, 1n] })]],
    ['all elements in a row', [n('Reshape', ['hidden', 'whole'], 'row'), n('ReduceMax', ['row'], 'r', { axes: [0n] })]],
    [
      'all elements in a row, by the last axis',
      [n('Reshape', ['hidden', 'whole'], 'row'), n('ReduceMax', ['row'], 'r', { axes: [-1n] })],
    ],
    ['a sum over all axes', [n('ReduceSum', ['hidden'], 'r')]],
    ['axes that are computed', [n('Cast', ['whole'], 'axes'), n('ReduceMax', ['hidden', 'axes'], 'r')]],
  ])('finds the range of %s, as dynamic quantization spelled out has it', (_, nodes) => {
    expect(flow([hidden, ...nodes]).byRun).toMatch(/all tokens of a run/);
  });

  it.each([
    ['a softmax', [n('ReduceMax', ['hidden', 'whole'], 'r')]],
    ['a norm', [n('ReduceMean', ['hidden'], 'r', { axes: [-1n] })]],
    ['a sum over experts', [n('ReduceSum', ['hidden'], 'r', { axes: [1n] })]],
    ['the most likely token', [n('ArgMax', ['hidden'], 'r', { axis: -1n })]],
  ])('does not take %s for one', (_, nodes) => {
    expect(flow([hidden, ...nodes]).byRun).toBeNull();
  });
});
