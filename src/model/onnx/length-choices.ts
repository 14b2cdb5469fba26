import { onnxNumber } from '../../ort/element-type.js';
import { memorySource } from './byte-source.js';
import { type Graph, type GraphNode, readGraph } from './graph.js';
import { type Readers, readersOf } from './graph-edges.js';
import { GRAPH, nodeMessage, valueMessage } from './messages.js';
import { type Splice, spliced, withInput } from './splice.js';
import { TensorLengths } from './tensor-lengths.js';
import { bytesField, join } from './wire.js';

/** Finds where a graph chooses by the length of a sequence, as LongRoPE does, and makes that length an input. */

/** The int64 scalar input that takes the place of a sequence's length where the graph chooses by it. */
export const REGIME_TOKENS = 'regime_tokens';

/** A comparison of the length of a sequence with a constant, which selects tensors. */
interface LengthChoice {
  readonly node: GraphNode;
  /** The input of the node that is the length. */
  readonly lengthIndex: 0 | 1;
  /** The element type of both inputs. */
  readonly elementCode: number;
}

export type LengthChoices =
  | { readonly kind: 'none' }
  /** Sequences of more than `borderTokens` tokens are treated differently. */
  | { readonly kind: 'border'; readonly borderTokens: number; readonly choices: readonly LengthChoice[] }
  | { readonly kind: 'unrecognised'; readonly reason: string };

const COMPARISONS = new Set('Greater GreaterOrEqual Less LessOrEqual'.split(' '));
/** Operators that pass a condition on. */
const CONDITIONS = new Set('Cast Identity Not And Or Xor Unsqueeze Squeeze Reshape Expand'.split(' '));
/** Operators that a number of tokens passes on its way into a rotary frequency. */
const ARITHMETIC = new Set('Cast Mul Div Add Sub Where Max Min Unsqueeze Squeeze Reshape Identity'.split(' '));
/** Operators of a rotary frequency. Positions, which are computed from lengths too, do not pass through these. */
const POWERS = new Set('Pow Exp Log'.split(' '));

/** Finds all choices by length. */
export function lengthChoices(graph: Graph): LengthChoices {
  const lengths = new TensorLengths(graph);
  const readers = readersOf(graph);
  const power = lengthToThePower(graph, lengths, readers);
  if (power !== null) return { kind: 'unrecognised', reason: `${power} computes with the length of the sequence` };
  const choices: LengthChoice[] = [];
  const borders = new Set<number>();
  for (const node of graph.nodes) {
    const lengthIndex = comparedLength(node, lengths);
    if (lengthIndex === null || !selects(node, readers)) continue;
    const other = node.inputs[1 - lengthIndex]!;
    const constant = lengths.constant(other)!;
    const count = lengths.count(node.inputs[lengthIndex]!);
    const isTotal = count?.news === 1 && count.pasts === 1;
    if (!isTotal || constant.scalar === null || !lengths.isPlain(other)) {
      return { kind: 'unrecognised', reason: `${node.opType} "${node.outputs[0]}" selects tensors by a length` };
    }
    borders.add(borderOf(node.opType, lengthIndex, constant.scalar) - count.plus);
    choices.push({ node, lengthIndex, elementCode: constant.elementCode });
  }
  const [borderTokens] = borders;
  if (borderTokens === undefined) return { kind: 'none' };
  if (borders.size > 1) return { kind: 'unrecognised', reason: `it has ${borders.size} borders of length` };
  return { kind: 'border', borderTokens, choices };
}

/** Which input of a comparison with a constant of more than 1 is a number of tokens; null if none is. */
function comparedLength(node: GraphNode, lengths: TensorLengths): 0 | 1 | null {
  if (!COMPARISONS.has(node.opType)) return null;
  for (const index of [0, 1] as const) {
    const other = lengths.constant(node.inputs[1 - index] ?? '');
    // Whether there is a token at all, or more than one, is asked for other reasons than rotary tables.
    if (other !== null && (other.scalar ?? 2) > 1 && lengths.isCount(node.inputs[index] ?? '')) return index;
  }
  return null;
}

/** The greatest length on the short side of a comparison with `constant`. */
function borderOf(opType: string, lengthIndex: 0 | 1, constant: number): number {
  const lengthFirst = lengthIndex === 0;
  const inclusive =
    opType === (lengthFirst ? 'Greater' : 'Less') || opType === (lengthFirst ? 'LessOrEqual' : 'GreaterOrEqual');
  return inclusive ? Math.floor(constant) : Math.ceil(constant) - 1;
}

/** Whether the condition that a node computes selects tensors. */
function selects(node: GraphNode, readers: Readers): boolean {
  return reaches(node.outputs, readers, CONDITIONS, (reader, input) =>
    reader.opType === 'If' || reader.opType === 'Where' ? reader.inputs[0] === input : false,
  );
}

/** An operator of a rotary frequency that is computed from the length, as dynamic NTK scaling does; null if there is none. */
function lengthToThePower(graph: Graph, lengths: TensorLengths, readers: Readers): string | null {
  const counts = graph.nodes.flatMap(({ outputs }) => outputs).filter((name) => name !== '' && lengths.isCount(name));
  let found: string | null = null;
  reaches(counts, readers, ARITHMETIC, (reader) => {
    if (POWERS.has(reader.opType)) found = `${reader.opType} "${reader.outputs[0]}"`;
    return found !== null;
  });
  return found;
}

/** Whether a node for which `isGoal` is true reads one of the tensors, or a tensor computed from them by operators in `through`. */
function reaches(
  from: readonly string[],
  readers: Readers,
  through: ReadonlySet<string>,
  isGoal: (reader: GraphNode, input: string) => boolean,
): boolean {
  const seen = new Set(from);
  for (const name of seen) {
    for (const reader of readers.get(name) ?? []) {
      if (isGoal(reader, name)) return true;
      if (through.has(reader.opType)) for (const output of reader.outputs) seen.add(output);
    }
  }
  return false;
}

/**
 * Makes the length by which a graph chooses an input, `regime_tokens`, so that all runs of a sequence can make the same choice. External data
 * stays in its files.
 * @param model the bytes of an ONNX file whose choices are of the kind `border`; not changed
 * @throws Corrupt if the bytes are not an ONNX model
 */
export function withRegimeTokens(model: Uint8Array): Uint8Array {
  const graph = readGraph(memorySource(model));
  const found = lengthChoices(graph);
  if (found.kind !== 'border') return model;
  const splices: Splice[] = found.choices.map((choice, i) => ({
    ...choice.node.place,
    bytes: withGivenLength(model, choice, i),
  }));
  const input = bytesField(GRAPH.input, valueMessage(REGIME_TOKENS, onnxNumber('int64'), []));
  return spliced(model, graph, [...splices, { start: graph.place.end, end: graph.place.end, bytes: input }]);
}

/** The choice's node, after nodes that compute the given length in the type and shape of the graph's own. */
function withGivenLength(model: Uint8Array, { node, lengthIndex, elementCode }: LengthChoice, i: number): Uint8Array {
  const own = node.inputs[lengthIndex]!;
  const names = { zero: `shoal.length${i}.zero`, given: `shoal.length${i}.given`, length: `shoal.length${i}` };
  const nodes = [
    { op: 'Sub', inputs: [own, own], outputs: [names.zero] },
    { op: 'Cast', inputs: [REGIME_TOKENS], outputs: [names.given], attributes: { to: BigInt(elementCode) } },
    { op: 'Add', inputs: [names.zero, names.given], outputs: [names.length] },
  ];
  return join([
    ...nodes.map((added) => bytesField(GRAPH.node, nodeMessage(added))),
    bytesField(GRAPH.node, withInput(model, node, lengthIndex, names.length)),
  ]);
}
