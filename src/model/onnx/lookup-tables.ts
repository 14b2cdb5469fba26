import type { Graph, GraphNode } from './graph.js';
import { producersOf } from './graph-edges.js';

/** How far the tables reach in which a decoder's graph looks up tokens and positions: beyond, ONNX Runtime fails in the middle of a run. */
export interface TableLimits {
  /** Rows of the embeddings of tokens; null if the graph does not tell. */
  readonly tokens: number | null;
  /** Rows of the shortest table of positions, rotary or learned; null if the graph does not tell. */
  readonly positions: number | null;
}

/** Operators that pass indices on, in another type or shape. */
const CARRIERS = new Set(['Cast', 'Identity', 'Unsqueeze', 'Squeeze', 'Reshape', 'Flatten']);
/** Operators that take rows of their first input, at the indices of their second. */
const LOOKUPS = new Set(['Gather', 'GatherBlockQuantized']);
/** Operators with a table of cosines, by the index of this input. */
const ROTARY: Readonly<Record<string, number>> = { GroupQueryAttention: 7, RotaryEmbedding: 2 };
/** The longest chain of nodes that is searched. */
const MAX_CHAIN = 64;

/** The limits of a graph's tables. Indices that are computed in another way than by a copy of the model's input are not followed. */
export function tableLimits(graph: Graph): TableLimits {
  // A table of another rank may be indexed along another axis.
  const tables = graph.initializers.filter(({ dims }) => dims.length === 2);
  const rows = new Map(tables.map(({ name, dims }) => [name, dims[0]!]));
  const producers = producersOf(graph);
  const lookedUpBy = (input: string) =>
    graph.nodes
      .filter(({ opType, inputs }) => LOOKUPS.has(opType) && carries(producers, inputs[1] ?? '', input))
      .map(({ inputs }) => rows.get(inputs[0] ?? ''));
  const rotary = graph.nodes
    .filter(({ domain }) => domain === 'com.microsoft')
    .map(({ opType, inputs }) => rows.get(inputs[ROTARY[opType] ?? -1] ?? ''));
  return { tokens: least(lookedUpBy('input_ids')), positions: least([...lookedUpBy('position_ids'), ...rotary]) };
}

/** Whether a tensor has the elements of a model's input, in order. */
function carries(producers: ReadonlyMap<string, GraphNode>, tensor: string, input: string): boolean {
  let at = tensor;
  for (let i = 0; i < MAX_CHAIN && at !== input; i++) {
    const node = producers.get(at);
    if (node === undefined || !CARRIERS.has(node.opType)) return false;
    at = node.inputs[0] ?? '';
  }
  return at === input;
}

function least(rows: readonly (number | undefined)[]): number | null {
  const known = rows.filter((count) => count !== undefined);
  return known.length === 0 ? null : Math.min(...known);
}
