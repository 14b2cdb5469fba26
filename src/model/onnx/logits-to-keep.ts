import { onnxNumber } from '../../ort/element-type.js';
import { memorySource } from './byte-source.js';
import { type Graph, type GraphNode, readGraph } from './graph.js';
import { producersOf } from './graph-edges.js';
import { GRAPH, nodeMessage, tensorMessage, valueMessage } from './messages.js';
import { type Splice, spliced, withInput } from './splice.js';
import { bytesField, join } from './wire.js';

/** Edits a graph so that it can compute the logits of the last positions only. */

/** The int64 scalar input with the number of last positions whose logits are computed; 0 means all. */
export const LOGITS_TO_KEEP = 'num_logits_to_keep';
/** The names of that input in exported graphs; the second one is that of newer versions of transformers. */
export const LOGITS_TO_KEEP_NAMES: readonly string[] = [LOGITS_TO_KEEP, 'logits_to_keep'];

export type LogitsEdit =
  | { readonly kind: 'edited'; readonly model: Uint8Array }
  /** The graph has the input already. */
  | { readonly kind: 'present' }
  | { readonly kind: 'unrecognised'; readonly reason: string };

/**
 * Adds the input `num_logits_to_keep` to a decoder's graph: a Slice on the hidden states before the head keeps the last positions only, so
 * the logits are `[batch, num_logits_to_keep, vocab]` instead of `[batch, sequence, vocab]`. The remaining logits are bit-identical if the hidden
 * states are float32. If they are float16, the Slice rounds them to float16 on the CPU, where ONNX Runtime otherwise hands float32 from the last
 * normalisation to the head: the logits then differ by rounding, the same in every run. K/V does not differ. The bytes
 * are spliced, so weights are not decoded; large ones are best left in their file first (`detachedGraph`). External data stays in its files, so
 * a session of the edited bytes needs the folder.
 * @param model the bytes of an ONNX file; not changed
 * @throws Corrupt if the bytes are not an ONNX model
 */
export function withLogitsToKeep(model: Uint8Array): LogitsEdit {
  const graph = readGraph(memorySource(model));
  if (graph.inputs.some((input) => LOGITS_TO_KEEP_NAMES.includes(input.name))) return { kind: 'present' };
  const head = findHead(graph);
  return typeof head === 'string' ? { kind: 'unrecognised', reason: head } : edit(model, graph, head);
}

interface Head {
  readonly node: GraphNode;
  /** The tensors from the head's output to `logits`, whose sequence axis becomes shorter. */
  readonly shortened: ReadonlySet<string>;
}

/** Operators `[.., tokens, n] x [n, vocab]` whose first input is the hidden states and whose other inputs are weights. */
const HEADS = new Set(['MatMul', 'MatMulNBits', 'MatMulInteger', 'MatMulIntegerToFloat', 'QLinearMatMul']);
/** Elementwise operators. */
const ELEMENTWISE = new Set('Cast Add Sub Mul Div Tanh Clip Identity QuantizeLinear DequantizeLinear'.split(' '));
/** Operators that compute a weight from weights. */
const WEIGHT_OPS = new Set([...ELEMENTWISE, 'Transpose', 'Reshape', 'Unsqueeze', 'Squeeze']);
/** The maximum length of a chain of nodes that is searched. */
const MAX_CHAIN = 64;

/** Walks back from `logits` to the head. Returns a string with the reason if there is none. */
function findHead(graph: Graph): Head | string {
  if (graph.opset < 10) return `operator set ${graph.opset} has no Slice with computed bounds; 10 is required`;
  const logits = graph.outputs.find((output) => output.name === 'logits');
  if (!logits) return 'the graph has no output "logits"';
  if (logits.dims.length !== 3)
    return `"logits" has ${logits.dims.length} dimensions; [batch, sequence, vocab] is required`;
  const producers = producersOf(graph);
  const weights = new Set(graph.initializers.map((initializer) => initializer.name));
  const sameForAllTokens = (name: string, depth = 0): boolean => {
    if (name === '' || weights.has(name)) return true;
    const node = producers.get(name);
    if (!node || depth > MAX_CHAIN) return false;
    if (node.opType === 'Constant') return true;
    // The scale and the zero point are scalars for the whole tensor.
    if (node.opType === 'DynamicQuantizeLinear') return node.outputs[0] !== name;
    return WEIGHT_OPS.has(node.opType) && node.inputs.every((input) => sameForAllTokens(input, depth + 1));
  };
  const shortened = new Set<string>();
  let name = 'logits';
  while (shortened.size < MAX_CHAIN) {
    const node = producers.get(name);
    if (!node) return `no node computes "${name}"`;
    shortened.add(name);
    if (node.opType === 'Gemm') return `"${name}" is computed by Gemm, whose input has no sequence axis`;
    const varying = node.inputs.filter((input) => !sameForAllTokens(input));
    const [input] = varying;
    if (input === undefined || varying.length > 1)
      return `${node.opType} computes "${name}" from ${varying.length} computed tensors`;
    if (HEADS.has(node.opType)) {
      if (node.inputs[0] !== input) return `the weights of ${node.opType}, which computes "${name}", come first`;
      return usedElsewhere(graph, shortened) ?? { node, shortened };
    }
    if (!ELEMENTWISE.has(node.opType))
      return `"${name}" is computed by ${node.opType}, which is not known as part of a head`;
    name = input;
  }
  return `no head within ${MAX_CHAIN} nodes before "logits"`;
}

/** The reason not to shorten: a node or an output outside the chain that uses one of its tensors; null if there is none. */
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
    // A start of -N keeps N positions, and 0 keeps all. Axis 1 and shape [1] share one constant.
    { op: 'Slice', inputs: [head.node.inputs[0]!, names.starts, names.end, names.one], outputs: [names.kept] },
  ];
  const vector = (name: string, value: bigint) =>
    bytesField(GRAPH.initializer, tensorMessage({ name, type: 'int64', dims: [1] }, BigInt64Array.of(value)));
  const splices: Splice[] = [
    {
      ...head.node.place,
      bytes: join([
        ...slice.map((node) => bytesField(GRAPH.node, nodeMessage(node))),
        bytesField(GRAPH.node, withInput(model, head.node, 0, names.kept)),
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
    // The shapes that the file states for these tensors are no longer valid.
    ...graph.values
      .filter((value) => head.shortened.has(value.name))
      .map(({ place }) => ({ ...place, bytes: new Uint8Array(0) })),
  ];
  return { kind: 'edited', model: spliced(model, graph, splices) };
}
