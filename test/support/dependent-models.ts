import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { memorySource } from '../../src/model/onnx/byte-source.js';
import { type Graph, type GraphNode, readGraph } from '../../src/model/onnx/graph.js';
import { ATTRIBUTE, GRAPH, NODE, type Node, nodeMessage, tensorMessage } from '../../src/model/onnx/messages.js';
import { type Splice, spliced, withInput } from '../../src/model/onnx/splice.js';
import { bytesField, fields, join as joined, readText } from '../../src/model/onnx/wire.js';
import { functionsOf, type Spelling, spelledChoice } from './length-spellings.js';

/** Makes models whose K/V is not a function of the prefix alone, as exporters make them. */

const COS_INPUT = 7;
const SIN_INPUT = 8;

/**
 * Copies a model folder with a graph as Phi-3 has it: sequences of more than `borderTokens` tokens use another rotary table (LongRoPE).
 * @param from a model folder whose graph has the operator GroupQueryAttention with its tables as float32 weights
 */
export function longRopeModel(
  from: string,
  to: string,
  borderTokens: number,
  spelling: Spelling = 'where',
): Promise<void> {
  return editedModel(from, to, (model, graph) => longRope(model, graph, borderTokens, spelling), functionsOf(spelling));
}

/**
 * Copies a model folder with a graph whose activations are quantized in each run anew, over all of its tokens: by the operator for that, or by
 * others that compute the same.
 */
export function dynamicallyQuantizedModel(
  from: string,
  to: string,
  spelling: 'operator' | 'spelled out' = 'operator',
): Promise<void> {
  return editedModel(from, to, (model, graph) => dynamicallyQuantized(model, graph, spelling === 'spelled out'));
}

/**
 * Copies a model folder with a graph that rotates queries and keys outside of the attention, all rows at the last positions of the mask: right
 * for one sequence, wrong for the shorter ones of a batch.
 * @param from as for `longRopeModel`
 */
export function maskPositionsModel(from: string, to: string): Promise<void> {
  return editedModel(from, to, (model, graph) => ownPositions(model, graph, TOTAL_OF_MASK));
}

/** The same with positions from the number of past tokens, which the graph takes from the shape of past K/V. */
export function pastPositionsModel(from: string, to: string): Promise<void> {
  return editedModel(from, to, (model, graph) => ownPositions(model, graph, TOTAL_OF_PAST));
}

/**
 * Copies a model folder with a graph that returns the K/V of the last `tokens` tokens alone.
 * @param from a model folder whose graph joins K/V by Concat
 * @param through an operator between the joined K/V and the cut, which adds 0
 */
export function windowedModel(from: string, to: string, tokens: number, through: 'Identity' | 'Add'): Promise<void> {
  return editedModel(from, to, (model, graph) => {
    const joins = graph.nodes.filter(({ outputs }) => outputs[0]?.startsWith('present.'));
    const places = joins.map((node) => {
      const [output] = node.outputs as [string];
      const nodes: Node[] = [
        { op: 'Concat', inputs: [...node.inputs], outputs: [`${output}.joined`], attributes: { axis: 2n } },
        {
          op: through,
          inputs: [`${output}.joined`, 'kept.nothing'].slice(0, through === 'Add' ? 2 : 1),
          outputs: [`${output}.same`],
        },
        { op: 'Slice', inputs: [`${output}.same`, 'kept.first', 'kept.end', 'kept.axis'], outputs: [output] },
      ];
      return { ...node.place, bytes: joined(nodes.map((one) => bytesField(GRAPH.node, nodeMessage(one)))) };
    });
    const readers = graph.nodes.flatMap((node) => {
      const index = node.inputs.findIndex((input) => input.startsWith('present.'));
      if (index < 0) return [];
      const bytes = bytesField(GRAPH.node, withInput(model, node, index, `${node.inputs[index]}.joined`));
      return [{ ...node.place, bytes }];
    });
    const list = (name: string, value: number) =>
      tensorMessage({ name, type: 'int64', dims: [1] }, BigInt64Array.of(BigInt(value)));
    const weights = [
      ...[list('kept.first', -tokens), list('kept.end', 2 ** 40), list('kept.axis', 2)],
      tensorMessage({ name: 'kept.nothing', type: 'float32', dims: [1] }, new Float32Array(1)),
    ];
    const { end } = graph.place;
    return [
      ...places,
      ...readers,
      { start: end, end, bytes: joined(weights.map((tensor) => bytesField(GRAPH.initializer, tensor))) },
    ];
  });
}

/** Nodes that compute `at.past` and `at.total`, of `at.new`. */
const TOTAL_OF_MASK: readonly Node[] = [
  { op: 'Shape', inputs: ['attention_mask'], outputs: ['at.mask'] },
  { op: 'Gather', inputs: ['at.mask', 'at.one'], outputs: ['at.total'] },
  { op: 'Sub', inputs: ['at.total', 'at.new'], outputs: ['at.past'] },
];
const TOTAL_OF_PAST: readonly Node[] = [
  { op: 'Shape', inputs: ['past_key_values.0.key'], outputs: ['at.shape'] },
  { op: 'Gather', inputs: ['at.shape', 'at.two'], outputs: ['at.past'] },
  { op: 'Add', inputs: ['at.past', 'at.new'], outputs: ['at.total'] },
];

async function editedModel(
  from: string,
  to: string,
  edits: (model: Uint8Array, graph: Graph) => readonly Splice[],
  functions: Uint8Array = new Uint8Array(0),
): Promise<void> {
  await cp(from, to, { recursive: true });
  const file = join(to, 'onnx', 'model.onnx');
  const model = await readFile(file);
  const graph = readGraph(memorySource(model));
  await writeFile(file, joined([spliced(model, graph, edits(model, graph)), functions]));
}

function longRope(model: Uint8Array, graph: Graph, borderTokens: number, spelling: Spelling): readonly Splice[] {
  const attentions = graph.nodes.filter(({ opType }) => opType === 'GroupQueryAttention');
  const [first] = attentions;
  if (first === undefined) throw new Error('cannot give the model two rotary tables: it has no GroupQueryAttention');
  const names = { cos: first.inputs[COS_INPUT]!, sin: first.inputs[SIN_INPUT]! };
  const [positions, half] = graph.initializers.find(({ name }) => name === names.cos)!.dims as [number, number];
  const table = (name: 'cos' | 'sin') =>
    bytesField(
      GRAPH.initializer,
      tensorMessage(
        { name: `long.${name}`, type: 'float32', dims: [positions, half] },
        longTable(name, positions, half),
      ),
    );
  const vector = (name: string, value: number) =>
    bytesField(GRAPH.initializer, tensorMessage({ name, type: 'int64', dims: [1] }, BigInt64Array.of(BigInt(value))));
  const total = [
    { op: 'Shape', inputs: ['attention_mask'], outputs: ['long.shape'] },
    { op: 'Gather', inputs: ['long.shape', 'long.axis'], outputs: ['long.totals'] },
  ];
  const choices = [
    ...total.map((node) => bytesField(GRAPH.node, nodeMessage(node))),
    ...spelledChoice(spelling, names),
  ];
  const { end } = graph.place;
  return [
    ...attentions.map((node, i) => ({
      ...node.place,
      bytes: joined([...(i === 0 ? choices : []), bytesField(GRAPH.node, withTables(model, node))]),
    })),
    {
      start: end,
      end,
      bytes: joined([table('cos'), table('sin'), vector('long.border', borderTokens), vector('long.axis', 1)]),
    },
  ];
}

/** The node's message with both tables replaced. */
function withTables(model: Uint8Array, node: GraphNode): Uint8Array {
  const once = withInput(model, node, COS_INPUT, 'long.cos_now');
  const place = { number: 0, wire: 0, start: 0, payload: 0, end: once.length, value: 0 };
  return withInput(once, { ...node, place }, SIN_INPUT, 'long.sin_now');
}

function longTable(name: 'cos' | 'sin', positions: number, half: number): Float32Array {
  const table = new Float32Array(positions * half);
  for (let at = 0; at < table.length; at++) {
    const [position, i] = [Math.floor(at / half), at % half];
    table[at] = Math[name](position / 10_000 ** (i / half) / (1 + (1.5 * i) / (half - 1)));
  }
  return table;
}

/** Quantizes and dequantizes the input of every product with a weight. */
function dynamicallyQuantized(model: Uint8Array, graph: Graph, spelled: boolean): readonly Splice[] {
  const products = graph.nodes.filter(({ opType, outputs }) => opType === 'MatMul' && outputs[0] !== 'logits');
  const edits = products.map((node, i) => {
    const x = node.inputs[0]!;
    const nodes = spelled ? spelledQuantization(x, `q${i}`) : quantization(x, `q${i}`);
    return {
      ...node.place,
      bytes: joined([
        ...nodes.map((added) => bytesField(GRAPH.node, nodeMessage(added))),
        bytesField(GRAPH.node, withInput(model, node, 0, `q${i}.x`)),
      ]),
    };
  });
  const float = (name: string, value: number) =>
    bytesField(GRAPH.initializer, tensorMessage({ name, type: 'float32', dims: [] }, Float32Array.of(value)));
  const { end } = graph.place;
  return [...edits, { start: end, end, bytes: joined([float('q.zero', 0), float('q.levels', 255)]) }];
}

function quantization(x: string, q: string): readonly Node[] {
  const codes = [q, `${q}.scale`, `${q}.offset`];
  return [
    { op: 'DynamicQuantizeLinear', inputs: [x], outputs: codes },
    { op: 'DequantizeLinear', inputs: codes, outputs: [`${q}.x`] },
  ];
}

/** The same as ONNX describes the operator, by smaller ones. */
function spelledQuantization(x: string, q: string): readonly Node[] {
  const node = (op: string, inputs: string[], output: string, attributes: Node['attributes'] = {}): Node => ({
    ...{ op, inputs, outputs: [`${q}.${output}`], attributes },
  });
  return [
    node('ReduceMax', [x], 'max0', { keepdims: 0n }),
    node('ReduceMin', [x], 'min0', { keepdims: 0n }),
    node('Max', [`${q}.max0`, 'q.zero'], 'max'),
    node('Min', [`${q}.min0`, 'q.zero'], 'min'),
    node('Sub', [`${q}.max`, `${q}.min`], 'range'),
    node('Div', [`${q}.range`, 'q.levels'], 'scale'),
    node('Div', [x, `${q}.scale`], 'steps'),
    node('Round', [`${q}.steps`], 'codes'),
    node('Mul', [`${q}.codes`, `${q}.scale`], 'x'),
  ];
}

function ownPositions(model: Uint8Array, graph: Graph, total: readonly Node[]): readonly Splice[] {
  const vector = (name: string, dims: number[], value: number) =>
    bytesField(GRAPH.initializer, tensorMessage({ name, type: 'int64', dims }, BigInt64Array.of(BigInt(value))));
  const positions = [
    { op: 'Shape', inputs: ['input_ids'], outputs: ['at.ids'] },
    { op: 'Gather', inputs: ['at.ids', 'at.one'], outputs: ['at.new'] },
    ...total,
    { op: 'Range', inputs: ['at.past', 'at.total', 'at.one'], outputs: ['at.range'] },
    { op: 'Unsqueeze', inputs: ['at.range', 'at.axes'], outputs: ['at.row'] },
    { op: 'Expand', inputs: ['at.row', 'at.ids'], outputs: ['at.positions'] },
  ];
  const attentions = graph.nodes.filter(({ opType }) => opType === 'GroupQueryAttention');
  const { end } = graph.place;
  return [
    ...attentions.map((node, i) => ({
      ...node.place,
      bytes: joined([
        ...(i === 0 ? positions.map((added) => bytesField(GRAPH.node, nodeMessage(added))) : []),
        ...rotatedBefore(model, node),
      ]),
    })),
    { start: end, end, bytes: joined([vector('at.one', [], 1), vector('at.two', [], 2), vector('at.axes', [1], 0)]) },
  ];
}

/** Nodes that rotate queries and keys, and the attention without its own rotation. */
function rotatedBefore(model: Uint8Array, node: GraphNode): Uint8Array[] {
  const source = memorySource(model);
  const parts: Uint8Array[] = [];
  const heads = new Map<string, number>();
  let inputs = 0;
  for (const field of fields(source, node.place.payload, node.place.end)) {
    const own = model.subarray(field.start, field.end);
    if (field.number === NODE.input) {
      const at = inputs++;
      if (at < 2) parts.push(bytesField(NODE.input, `${node.inputs[at]}.rotated`));
      else if (at < COS_INPUT) parts.push(own);
      continue;
    }
    if (field.number === NODE.attribute) {
      const inner = [...fields(source, field.payload, field.end)];
      const name = readText(source, inner.find(({ number }) => number === ATTRIBUTE.name)!);
      heads.set(name, inner.find(({ number }) => number === ATTRIBUTE.int)?.value ?? 0);
      if (name === 'do_rotary') continue;
    }
    parts.push(own);
  }
  const rotations = ['num_heads', 'kv_num_heads'].map((attribute, i) => ({
    op: 'RotaryEmbedding',
    domain: 'com.microsoft',
    inputs: [node.inputs[i]!, 'at.positions', node.inputs[COS_INPUT]!, node.inputs[SIN_INPUT]!],
    outputs: [`${node.inputs[i]}.rotated`],
    attributes: { num_heads: BigInt(heads.get(attribute)!) },
  }));
  return [...rotations.map((added) => bytesField(GRAPH.node, nodeMessage(added))), bytesField(GRAPH.node, parts)];
}
