import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { memorySource } from '../../src/model/onnx/byte-source.js';
import { type Graph, type GraphNode, readGraph } from '../../src/model/onnx/graph.js';
import { ATTRIBUTE, GRAPH, NODE, nodeMessage, tensorMessage } from '../../src/model/onnx/messages.js';
import { type Splice, spliced, withInput } from '../../src/model/onnx/splice.js';
import { bytesField, fields, join as joined, readText } from '../../src/model/onnx/wire.js';

/** Makes models whose K/V is not a function of the prefix alone, as exporters make them. */

const COS_INPUT = 7;
const SIN_INPUT = 8;

/**
 * Copies a model folder with a graph as Phi-3 has it: sequences of more than `borderTokens` tokens use another rotary table (LongRoPE).
 * @param from a model folder whose graph has the operator GroupQueryAttention with its tables as float32 weights
 */
export function longRopeModel(from: string, to: string, borderTokens: number): Promise<void> {
  return editedModel(from, to, (model, graph) => longRope(model, graph, borderTokens));
}

/** Copies a model folder with a graph whose activations are quantized in each run anew, over all of its tokens. */
export function dynamicallyQuantizedModel(from: string, to: string): Promise<void> {
  return editedModel(from, to, dynamicallyQuantized);
}

/**
 * Copies a model folder with a graph that rotates queries and keys outside of the attention, all rows at the last positions of the mask: right
 * for one sequence, wrong for the shorter ones of a batch.
 * @param from as for `longRopeModel`
 */
export function maskPositionsModel(from: string, to: string): Promise<void> {
  return editedModel(from, to, maskPositions);
}

async function editedModel(
  from: string,
  to: string,
  edits: (model: Uint8Array, graph: Graph) => readonly Splice[],
): Promise<void> {
  await cp(from, to, { recursive: true });
  const file = join(to, 'onnx', 'model.onnx');
  const model = await readFile(file);
  const graph = readGraph(memorySource(model));
  await writeFile(file, spliced(model, graph, edits(model, graph)));
}

function longRope(model: Uint8Array, graph: Graph, borderTokens: number): readonly Splice[] {
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
  const choices = [
    { op: 'Shape', inputs: ['attention_mask'], outputs: ['long.shape'] },
    { op: 'Gather', inputs: ['long.shape', 'long.axis'], outputs: ['long.totals'] },
    { op: 'Greater', inputs: ['long.totals', 'long.border'], outputs: ['long.is'] },
    { op: 'Where', inputs: ['long.is', 'long.cos', names.cos], outputs: ['long.cos_now'] },
    { op: 'Where', inputs: ['long.is', 'long.sin', names.sin], outputs: ['long.sin_now'] },
  ];
  const { end } = graph.place;
  return [
    ...attentions.map((node, i) => ({
      ...node.place,
      bytes: joined([
        ...(i === 0 ? choices.map((choice) => bytesField(GRAPH.node, nodeMessage(choice))) : []),
        bytesField(GRAPH.node, withTables(model, node)),
      ]),
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
function dynamicallyQuantized(model: Uint8Array, graph: Graph): readonly Splice[] {
  const products = graph.nodes.filter(({ opType, outputs }) => opType === 'MatMul' && outputs[0] !== 'logits');
  return products.map((node, i) => {
    const [x, q, scale, zero, y] = [node.inputs[0]!, `q${i}`, `q${i}.scale`, `q${i}.zero`, `q${i}.x`];
    const nodes = [
      { op: 'DynamicQuantizeLinear', inputs: [x], outputs: [q, scale, zero] },
      { op: 'DequantizeLinear', inputs: [q, scale, zero], outputs: [y] },
    ];
    return {
      ...node.place,
      bytes: joined([
        ...nodes.map((added) => bytesField(GRAPH.node, nodeMessage(added))),
        bytesField(GRAPH.node, withInput(model, node, 0, y)),
      ]),
    };
  });
}

function maskPositions(model: Uint8Array, graph: Graph): readonly Splice[] {
  const vector = (name: string, dims: number[], value: number) =>
    bytesField(GRAPH.initializer, tensorMessage({ name, type: 'int64', dims }, BigInt64Array.of(BigInt(value))));
  const positions = [
    { op: 'Shape', inputs: ['input_ids'], outputs: ['at.ids'] },
    { op: 'Gather', inputs: ['at.ids', 'at.one'], outputs: ['at.new'] },
    { op: 'Shape', inputs: ['attention_mask'], outputs: ['at.mask'] },
    { op: 'Gather', inputs: ['at.mask', 'at.one'], outputs: ['at.total'] },
    { op: 'Sub', inputs: ['at.total', 'at.new'], outputs: ['at.past'] },
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
    { start: end, end, bytes: joined([vector('at.one', [], 1), vector('at.axes', [1], 0)]) },
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
