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

/** The limits of a graph's tables. Indices are followed that are a copy of the model's input, or that plus a constant. */
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

  /** How many different elements of a model's input the tables allow whose rows are taken at them. */
  lookedUpBy(input: string): number[] {
    return this.graph.nodes.flatMap(({ opType, inputs }) => {
      const ahead = LOOKUPS.has(opType) ? this.ahead(inputs[1] ?? '', input) : null;
      const rows = ahead === null ? null : this.rows(inputs[0] ?? '');
      return rows === null ? [] : [rows - ahead!];
    });
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

  /** The constant that was added to the elements of a model's input, in order, to make a tensor; null if it was made in another way. */
  private ahead(tensor: string, input: string): number | null {
    let at = tensor;
    let ahead = 0;
    for (let i = 0; i < MAX_CHAIN && at !== input; i++) {
      const node = this.producers.get(at);
      if (node === undefined) return null;
      const [first = '', second = ''] = node.inputs;
      if (CARRIERS.has(node.opType)) at = first;
      else if (node.opType === 'Sub' && this.scalar(second) !== null) {
        at = first;
        ahead -= this.scalar(second)!;
      } else if (node.opType === 'Add' && (this.scalar(first) ?? this.scalar(second)) !== null) {
        at = this.scalar(first) === null ? first : second;
        ahead += (this.scalar(first) ?? this.scalar(second))!;
      } else return null;
    }
    return at === input ? ahead : null;
  }

  private scalar(name: string): number | null {
    return this.graph.constants.get(name)?.scalar ?? null;
  }
}

function least(rows: readonly (number | null)[]): number | null {
  const known = rows.filter((count) => count !== null);
  return known.length === 0 ? null : Math.min(...known);
}
