import { type FlatNode, flatGraph } from './flat-nodes.js';
import type { Graph } from './graph.js';

/** Finds graphs that need past K/V of exactly the past's length, or a mask without padding. */

/** The inputs of GroupQueryAttention that are past K and V, which may lie in a longer buffer. */
const PAST_INPUTS: readonly number[] = [3, 4];
const COPIES = new Set(['Identity', 'Cast']);
/** The batch, the heads and their size: the same for K/V in a longer buffer. */
const FIXED_AXES: readonly number[] = [0, 1, 3, -1, -3, -4];

/**
 * Whether a graph reads past K/V outside of GroupQueryAttention, such as the number of past tokens out of its shape. If K/V is appended in place,
 * its shape is the buffer's, and the contents beyond the last token are undefined.
 */
export function readsPast(graph: Graph, pastNames: readonly string[]): boolean {
  const { nodes, constants } = flatGraph(graph);
  const pasts = new Set(pastNames);
  const shapes = new Set<string>();
  const isFixed = ({ opType, inputs }: FlatNode) =>
    opType === 'Gather' && FIXED_AXES.includes(constants.get(inputs[1] ?? '')?.scalar ?? Number.NaN);
  for (const node of nodes) {
    if (node.inputs.some((name) => shapes.has(name)) && !isFixed(node)) return true;
    for (const [i, name] of node.inputs.entries()) {
      if (!pasts.has(name) || (node.opType === 'GroupQueryAttention' && PAST_INPUTS.includes(i))) continue;
      if (COPIES.has(node.opType)) pasts.add(node.outputs[0]!);
      else if (node.opType !== 'Shape') return true;
      else if (!hasFixedRange(node)) shapes.add(node.outputs[0]!);
    }
  }
  return false;
}

/** Whether a Shape gives axes before the one of tokens, or after it, alone. */
function hasFixedRange({ integers }: FlatNode): boolean {
  const [start = 0, end] = [integers.get('start')?.[0], integers.get('end')?.[0]];
  return start === 3 || start === -1 || (start >= 0 && end !== undefined && end >= 0 && end <= 2);
}

/** Operators that make the lengths of a batch's rows out of its mask. */
const COUNTING = new Set('Cast Identity Shape ReduceSum Sub Gather Squeeze'.split(' '));
/** The inputs of GroupQueryAttention that are the lengths of the rows, and of the longest one. */
const LENGTH_INPUTS: readonly number[] = [5, 6];

/**
 * Whether a graph reads the mask for more than the lengths that GroupQueryAttention takes, such as for positions by CumSum or Range. The mask of
 * a batch is as wide as its longest row, so a graph that does not count the ones of each row is wrong for the shorter ones.
 */
export function readsMask(graph: Graph): boolean {
  const lengths = new Set(['attention_mask']);
  for (const { opType, inputs, outputs } of flatGraph(graph).nodes) {
    const read = inputs.flatMap((name, i) => (lengths.has(name) ? [i] : []));
    if (read.length === 0) continue;
    if (COUNTING.has(opType)) for (const output of outputs) lengths.add(output);
    else if (opType !== 'GroupQueryAttention' || read.some((i) => !LENGTH_INPUTS.includes(i))) return true;
  }
  return false;
}
