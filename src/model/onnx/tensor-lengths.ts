import type { Graph, GraphNode, Initializer } from './graph.js';
import { producersOf } from './graph-edges.js';

/** Tensors of a decoder's graph that are numbers of tokens, such as the total length of the sequence. */

/** A number of tokens as `news * (tokens of the run) + pasts * (tokens before it) + plus`. */
export interface TokenCount {
  readonly news: number;
  readonly pasts: number;
  readonly plus: number;
}

/** Operators that pass a number on, in another type or shape. */
const CARRIERS = new Set('Cast Identity Unsqueeze Squeeze Reshape Flatten'.split(' '));
/** Operators whose result is a number of tokens if an input is one. */
const COUNTERS = new Set([...CARRIERS, ...'Gather Slice Concat Add Sub Mul Div Max Min'.split(' ')]);
/** Operators that make a number of tokens out of a model's inputs. */
const MEASURES = new Set('Shape Size ReduceSum ReduceMax Max'.split(' '));
/** The longest chain of nodes that is searched. */
const MAX_CHAIN = 64;
const MODEL_INPUT = /^(input_ids|attention_mask|position_ids|past_key_values\..*)$/;

/** Answers which tensors of one graph are numbers of tokens. */
export class TensorLengths {
  private readonly producers: ReadonlyMap<string, GraphNode>;
  private readonly initializers: ReadonlyMap<string, Initializer>;
  private readonly known = new Map<string, boolean>();

  constructor(graph: Graph) {
    this.producers = producersOf(graph);
    this.initializers = new Map(graph.initializers.map((initializer) => [initializer.name, initializer]));
  }

  /** The tensor, if it is a constant. */
  constant(name: string, depth = 0): Initializer | null {
    const node = this.producers.get(name);
    if (node === undefined) return this.initializers.get(name) ?? null;
    if (node.opType === 'Constant') return node.constant;
    return CARRIERS.has(node.opType) && depth < MAX_CHAIN ? this.constant(node.inputs[0] ?? '', depth + 1) : null;
  }

  /** Whether a constant has the element type of its weight: no operator stands between them. */
  isPlain(name: string): boolean {
    const node = this.producers.get(name);
    return node === undefined || node.opType === 'Constant';
  }

  /** Whether the tensor is computed from lengths of the model's inputs, and from constants, alone. */
  isCount(name: string): boolean {
    return this.counts(name, 0) && this.constant(name) === null;
  }

  private counts(name: string, depth: number): boolean {
    const known = this.known.get(name);
    if (known !== undefined) return known;
    const node = this.producers.get(name);
    const is = node !== undefined && depth < MAX_CHAIN && this.nodeCounts(node, depth);
    this.known.set(name, is);
    return is;
  }

  private nodeCounts(node: GraphNode, depth: number): boolean {
    const [first = ''] = node.inputs;
    if (MEASURES.has(node.opType) && this.isModelInput(first, depth)) return true;
    if (!COUNTERS.has(node.opType)) return false;
    const varying = node.inputs.filter((input) => input !== '' && this.constant(input) === null);
    return varying.length > 0 && varying.every((input) => this.counts(input, depth + 1));
  }

  private isModelInput(name: string, depth: number): boolean {
    const node = this.producers.get(name);
    if (node === undefined) return MODEL_INPUT.test(name);
    return CARRIERS.has(node.opType) && depth < MAX_CHAIN && this.isModelInput(node.inputs[0] ?? '', depth + 1);
  }

  /** The number of tokens that a tensor holds; null if unknown. */
  count(name: string, depth = 0): TokenCount | null {
    const constant = this.constant(name);
    if (constant !== null) return constant.scalar === null ? null : { news: 0, pasts: 0, plus: constant.scalar };
    const node = this.producers.get(name);
    if (node === undefined || depth > MAX_CHAIN) return null;
    const inputs = () => node.inputs.map((input) => this.count(input, depth + 1));
    if (CARRIERS.has(node.opType)) return this.count(node.inputs[0] ?? '', depth + 1);
    if (node.opType === 'Add') return combined(inputs(), 1);
    if (node.opType === 'Sub') return combined(inputs(), -1);
    if (node.opType === 'Gather' || node.opType === 'Slice') return this.dimension(node);
    if (node.opType === 'ReduceSum' && this.modelInput(node.inputs[0]) === 'attention_mask') return TOTAL;
    if (node.opType === 'ReduceMax' && this.modelInput(node.inputs[0]) === 'position_ids')
      return { ...TOTAL, plus: -1 };
    return null;
  }

  /** The dimension of a model's input that a node picks out of its shape. */
  private dimension(node: GraphNode): TokenCount | null {
    const shape = this.producers.get(node.inputs[0] ?? '');
    const index = this.constant(node.inputs[1] ?? '')?.scalar ?? null;
    if (shape?.opType !== 'Shape' || index === null) return null;
    const input = this.modelInput(shape.inputs[0]);
    if (input === 'attention_mask') return index === 1 || index === -1 ? TOTAL : null;
    if (input === 'input_ids' || input === 'position_ids') {
      return index === 1 || index === -1 ? { news: 1, pasts: 0, plus: 0 } : null;
    }
    const ofPast = input?.startsWith('past_key_values.') && (index === 2 || index === -2);
    return ofPast ? { news: 0, pasts: 1, plus: 0 } : null;
  }

  private modelInput(name = '', depth = 0): string | null {
    const node = this.producers.get(name);
    if (node === undefined) return MODEL_INPUT.test(name) ? name : null;
    return CARRIERS.has(node.opType) && depth < MAX_CHAIN ? this.modelInput(node.inputs[0], depth + 1) : null;
  }
}

const TOTAL: TokenCount = { news: 1, pasts: 1, plus: 0 };

function combined([a, b]: readonly (TokenCount | null)[], sign: 1 | -1): TokenCount | null {
  if (!a || !b) return null;
  return { news: a.news + sign * b.news, pasts: a.pasts + sign * b.pasts, plus: a.plus + sign * b.plus };
}
