import { onnxNumber } from '../../ort/element-type.js';
import { memorySource } from './byte-source.js';
import { type Graph, type GraphNode, readGraph } from './graph.js';
import { GRAPH, MODEL, NODE, nodeMessage, tensorMessage, valueMessage } from './messages.js';
import { bytesField, bytesHeader, fields, join } from './wire.js';

/** The int64 scalar input that says for how many last positions logits are made; 0 means all. */
export const LOGITS_TO_KEEP = 'num_logits_to_keep';

export type LogitsEdit =
  | { readonly kind: 'edited'; readonly model: Uint8Array }
  /** The graph has the input already. */
  | { readonly kind: 'present' }
  | { readonly kind: 'unrecognised'; readonly reason: string };

/**
 * Gives a decoder's graph the input `num_logits_to_keep`: a Slice on the hidden states that enter the head keeps the last
 * positions only, so that logits `[batch, num_logits_to_keep, vocab]` are made instead of `[batch, sequence, vocab]`. The
 * bytes are spliced: weights are neither decoded nor copied more than once. Logits of the positions kept are the same bit for
 * bit. External data stays where it is; a session made of the edited bytes must be told the folder.
 * @param model an ONNX file's bytes; not changed
 * @throws Corrupt if they are no ONNX model
 */
export function withLogitsToKeep(model: Uint8Array): LogitsEdit {
  const graph = readGraph(memorySource(model));
  if (graph.inputs.some((input) => input.name === LOGITS_TO_KEEP)) return { kind: 'present' };
  const head = findHead(graph);
  return typeof head === 'string' ? { kind: 'unrecognised', reason: head } : edit(model, graph, head);
}

interface Head {
  readonly node: GraphNode;
  /** Tensors from the head's output to `logits`, whose sequence axis becomes shorter. */
  readonly shortened: ReadonlySet<string>;
}

/** Nodes `[.., tokens, n] x [n, vocab]` whose first input is the hidden states and whose others are weights. */
const HEADS = new Set(['MatMul', 'MatMulNBits', 'MatMulInteger', 'MatMulIntegerToFloat', 'QLinearMatMul']);
/** Nodes that treat each element alone. */
const ELEMENTWISE = new Set('Cast Add Sub Mul Div Tanh Clip Identity QuantizeLinear DequantizeLinear'.split(' '));
/** Nodes that make a weight of weights. */
const WEIGHT_OPS = new Set([...ELEMENTWISE, 'Transpose', 'Reshape', 'Unsqueeze', 'Squeeze']);
const DEEPEST_CHAIN = 64;

/** Walks from `logits` back to the head; a string says why there is none. */
function findHead(graph: Graph): Head | string {
  if (graph.opset < 10) return `operator set ${graph.opset} has no Slice with computed bounds; 10 does`;
  const logits = graph.outputs.find((output) => output.name === 'logits');
  if (!logits) return 'the graph has no output "logits"';
  if (logits.dims.length !== 3)
    return `logits have ${logits.dims.length} dimensions instead of [batch, sequence, vocab]`;
  const producers = producersOf(graph);
  const weights = new Set(graph.initializers.map((initializer) => initializer.name));
  const sameForAllTokens = (name: string, depth = 0): boolean => {
    if (name === '' || weights.has(name)) return true;
    const node = producers.get(name);
    if (!node || depth > DEEPEST_CHAIN) return false;
    if (node.opType === 'Constant') return true;
    // Its scale and zero point are scalars over the whole tensor.
    if (node.opType === 'DynamicQuantizeLinear') return node.outputs[0] !== name;
    return WEIGHT_OPS.has(node.opType) && node.inputs.every((input) => sameForAllTokens(input, depth + 1));
  };
  const shortened = new Set<string>();
  let name = 'logits';
  while (shortened.size < DEEPEST_CHAIN) {
    const node = producers.get(name);
    if (!node) return `no node makes "${name}"`;
    shortened.add(name);
    if (node.opType === 'Gemm') return `"${name}" is made by Gemm, over tokens without a sequence axis`;
    const moving = node.inputs.filter((input) => !sameForAllTokens(input));
    const [input] = moving;
    if (input === undefined || moving.length > 1)
      return `${node.opType} makes "${name}" of ${moving.length} computed tensors`;
    if (HEADS.has(node.opType)) {
      if (node.inputs[0] !== input) return `the weights of ${node.opType}, which makes "${name}", come first`;
      return usedElsewhere(graph, shortened) ?? { node, shortened };
    }
    if (!ELEMENTWISE.has(node.opType))
      return `"${name}" is made by ${node.opType}, which is not known as part of a head`;
    name = input;
  }
  return `no head within ${DEEPEST_CHAIN} nodes before "logits"`;
}

function producersOf(graph: Graph): Map<string, GraphNode> {
  const producers = new Map<string, GraphNode>();
  for (const node of graph.nodes) for (const output of node.outputs) if (output) producers.set(output, node);
  return producers;
}

/** Somebody beside the chain who would see a tensor become shorter, as the reason not to. */
function usedElsewhere(graph: Graph, shortened: ReadonlySet<string>): string | null {
  for (const node of graph.nodes) {
    const input = node.inputs.find((name) => shortened.has(name));
    if (input !== undefined && !node.outputs.some((name) => shortened.has(name))) {
      return `${node.opType} reads "${input}" too`;
    }
  }
  const output = graph.outputs.find((value) => value.name !== 'logits' && shortened.has(value.name));
  return output ? `"${output.name}" is an output too` : null;
}

interface Splice {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
}

function edit(model: Uint8Array, graph: Graph, head: Head): LogitsEdit {
  const names = {
    start: 'shoal.start',
    starts: 'shoal.starts',
    one: 'shoal.one',
    end: 'shoal.end',
    kept: 'shoal.kept',
  };
  const logits = graph.outputs.find((output) => output.name === 'logits')!;
  const slice = [
    { op: 'Neg', inputs: [LOGITS_TO_KEEP], outputs: [names.start] },
    { op: 'Reshape', inputs: [names.start, names.one], outputs: [names.starts] },
    // -N as the start keeps N; 0 keeps all. Axis 1 and shape [1] are the same constant.
    { op: 'Slice', inputs: [head.node.inputs[0]!, names.starts, names.end, names.one], outputs: [names.kept] },
  ];
  const vector = (name: string, value: bigint) =>
    bytesField(GRAPH.initializer, tensorMessage({ name, type: 'int64', dims: [1] }, BigInt64Array.of(value)));
  const splices: Splice[] = [
    {
      ...head.node.place,
      bytes: join([
        ...slice.map((node) => bytesField(GRAPH.node, nodeMessage(node))),
        bytesField(GRAPH.node, withFirstInput(model, head.node, names.kept)),
      ]),
    },
    {
      ...logits.place,
      bytes: bytesField(
        GRAPH.output,
        valueMessage('logits', logits.elementCode, [logits.dims[0]!, 'logits_to_keep', logits.dims[2]!]),
      ),
    },
    {
      start: graph.place.end,
      end: graph.place.end,
      bytes: join([
        bytesField(GRAPH.input, valueMessage(LOGITS_TO_KEEP, onnxNumber('int64'), [])),
        vector(names.one, 1n),
        vector(names.end, 2n ** 63n - 1n),
      ]),
    },
    // What the file states of these shapes is no longer so.
    ...graph.values
      .filter((value) => head.shortened.has(value.name))
      .map(({ place }) => ({ ...place, bytes: new Uint8Array(0) })),
  ];
  return { kind: 'edited', model: splice(model, graph, splices) };
}

/** The node's message with another first input. */
function withFirstInput(model: Uint8Array, node: GraphNode, name: string): Uint8Array {
  const source = memorySource(model);
  const parts: Uint8Array[] = [];
  let inputs = 0;
  for (const field of fields(source, node.place.payload, node.place.end)) {
    const replaced = field.number === NODE.input && inputs++ === 0;
    parts.push(replaced ? bytesField(NODE.input, name) : model.subarray(field.start, field.end));
  }
  return join(parts);
}

/** The model with parts of its graph replaced, and the graph's length put right. */
function splice(model: Uint8Array, graph: Graph, splices: readonly Splice[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = graph.place.payload;
  for (const { start, end, bytes } of [...splices].sort((a, b) => a.start - b.start)) {
    parts.push(model.subarray(at, start), bytes);
    at = end;
  }
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return join([
    model.subarray(0, graph.place.start),
    bytesHeader(MODEL.graph, length),
    ...parts,
    model.subarray(graph.place.end),
  ]);
}
