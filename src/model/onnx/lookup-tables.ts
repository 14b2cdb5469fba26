import { type FlatGraph, type FlatNode, flatGraph } from './flat-nodes.js';
import type { Graph } from './graph.js';

/** How far the tables reach in which a decoder's graph looks up tokens and positions: beyond, ONNX Runtime fails in the middle of a run. */
export interface TableLimits {
  /** Rows of the embeddings of tokens; null if the graph does not tell. */
  readonly tokens: number | null;
  /** Rows of the shortest table of positions, rotary or learned; null if the graph does not tell. */
  readonly positions: number | null;
}

/** Operators that pass indices on, in another type or shape. */
const CARRIERS = new Set(['Cast', 'Identity', 'Unsqueeze', 'Squeeze', 'Reshape', 'Flatten']);
/** Operators that pass a table on. */
const COPIES = new Set(['Cast', 'Identity']);
/** Operators that choose one of the tables after their first input. */
const CHOICES = new Set(['If', 'Where']);
/** Operators that take rows of their first input, at the indices of their second. */
const LOOKUPS = new Set(['Gather', 'GatherBlockQuantized']);
/** Operators with a table of cosines, by the index of this input. */
const ROTARY: Readonly<Record<string, number>> = { GroupQueryAttention: 7, RotaryEmbedding: 2 };
/** The longest chain of nodes that is searched. */
const MAX_CHAIN = 64;

/** The limits of a graph's tables. Indices that are computed in another way than by a copy of the model's input are not followed. */
export function tableLimits(graph: Graph): TableLimits {
  const tables = new Tables(flatGraph(graph));
  return {
    tokens: least(tables.lookedUpBy('input_ids')),
    positions: least([...tables.lookedUpBy('position_ids'), ...tables.rotary()]),
  };
}

class Tables {
  private readonly producers: ReadonlyMap<string, FlatNode>;
  private readonly known = new Map<string, number | null>();

  constructor(private readonly graph: FlatGraph) {
    this.producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  }

  /** The rows of the tables whose rows are taken at the elements of a model's input. */
  lookedUpBy(input: string): (number | null)[] {
    return this.graph.nodes
      .filter(({ opType, inputs }) => LOOKUPS.has(opType) && this.carries(inputs[1] ?? '', input))
      .map(({ inputs }) => this.rows(inputs[0] ?? ''));
  }

  rotary(): (number | null)[] {
    return this.graph.nodes
      .filter(({ domain }) => domain === 'com.microsoft')
      .map(({ opType, inputs }) => this.rows(inputs[ROTARY[opType] ?? -1] ?? ''));
  }

  /** The rows of a table: a weight, a constant, or the longest one between which the graph chooses; null for another tensor. */
  private rows(name: string, depth = 0): number | null {
    const known = this.known.get(name);
    if (known !== undefined || depth === MAX_CHAIN) return known ?? null;
    const found = this.found(name, depth);
    this.known.set(name, found);
    return found;
  }

  private found(name: string, depth: number): number | null {
    const table = this.graph.constants.get(name);
    // A table of another rank may be indexed along another axis.
    if (table !== undefined) return table.dims.length === 2 ? table.dims[0]! : null;
    const node = this.producers.get(name);
    if (node === undefined) return null;
    if (COPIES.has(node.opType)) return this.rows(node.inputs[0] ?? '', depth + 1);
    if (!CHOICES.has(node.opType)) return null;
    const [, ...choices] = node.inputs.map((input) => this.rows(input, depth + 1));
    return choices.includes(null) ? null : Math.max(...choices.map(Number));
  }

  /** Whether a tensor has the elements of a model's input, in order. */
  private carries(tensor: string, input: string): boolean {
    let at = tensor;
    for (let i = 0; i < MAX_CHAIN && at !== input; i++) {
      const node = this.producers.get(at);
      if (node === undefined || !CARRIERS.has(node.opType)) return false;
      at = node.inputs[0] ?? '';
    }
    return at === input;
  }
}

function least(rows: readonly (number | null)[]): number | null {
  const known = rows.filter((count) => count !== null);
  return known.length === 0 ? null : Math.min(...known);
}
