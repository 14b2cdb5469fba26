import type { FlatGraph, FlatNode } from './flat-nodes.js';

/** The numbers of axes of a graph's tensors, as far as the small tensors of positions and shapes need them. */

/** Operators whose result has the axes of the first input. */
const SAME = new Set(
  [
    'Cast CastLike Identity Neg Not Cos Sin CumSum Trilu Slice Split Concat ScatterND Abs Floor Sqrt Erf Tanh Sigmoid Relu',
    'Softmax LayerNormalization SimplifiedLayerNormalization SkipSimplifiedLayerNormalization Gelu FastGelu MatMulNBits DynamicQuantizeLinear DequantizeLinear',
  ].flatMap((line) => line.split(' ')),
);
/** Operators whose inputs are stretched to one shape. */
const STRETCHED = new Set(
  'Add Sub Mul Div Pow Mod Max Min And Or Xor Equal Greater GreaterOrEqual Less LessOrEqual Where'.split(' '),
);
/** Axes of the model's inputs. */
const INPUTS: Readonly<Record<string, number>> = { input_ids: 2, attention_mask: 2, position_ids: 2 };
const MAX_CHAIN = 64;

export class TensorRanks {
  private readonly producers: ReadonlyMap<string, FlatNode>;
  private readonly known = new Map<string, number | null>();

  constructor(private readonly graph: FlatGraph) {
    this.producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  }

  /** The number of axes; null if unknown. */
  rank(name: string, depth = 0): number | null {
    const known = this.known.get(name);
    if (known !== undefined || depth > MAX_CHAIN) return known ?? null;
    const node = this.producers.get(name);
    const rank = node === undefined ? this.given(name) : this.made(node, depth + 1);
    this.known.set(name, rank);
    return rank;
  }

  /** The rows that NonZero made in a tensor of constants: the axes that an index of GatherND has; null if unknown. */
  indexedAxes(name: string): number | null {
    let node = this.producers.get(name);
    for (let i = 0; i < MAX_CHAIN && node !== undefined && ['Transpose', 'Cast'].includes(node.opType); i++)
      node = this.producers.get(node.inputs[0] ?? '');
    return node?.opType === 'NonZero' ? this.rank(node.inputs[0] ?? '') : null;
  }

  private given(name: string): number | null {
    return (
      this.graph.constants.get(name)?.dims.length ?? INPUTS[name] ?? (name.startsWith('past_key_values.') ? 4 : null)
    );
  }

  private made(node: FlatNode, depth: number): number | null {
    const { opType, inputs } = node;
    const of = (index: number) => this.rank(inputs[index] ?? '', depth);
    if (SAME.has(opType)) return of(0);
    if (STRETCHED.has(opType)) return most(inputs.map((input) => this.rank(input, depth)));
    switch (opType) {
      case 'Shape':
      case 'Range':
        return 1;
      case 'NonZero':
        return 2;
      case 'Unsqueeze':
        return plus(of(0), this.axes(node)?.length ?? null);
      case 'Squeeze':
        return plus(of(0), negated(this.axes(node)?.length ?? null));
      case 'Gather':
        return plus(plus(of(0), of(1)), -1);
      case 'Transpose':
        return node.integers.get('perm')?.length ?? of(0);
      case 'MatMul':
      case 'MatMulInteger':
        return (of(0) ?? 0) < 2 || (of(1) ?? 0) < 2 ? null : most([of(0), of(1)]);
      case 'ConstantOfShape':
        return this.elements(inputs[0] ?? '', depth);
      case 'Reshape':
        return this.elements(inputs[1] ?? '', depth);
      case 'Expand':
        return most([of(0), this.elements(inputs[1] ?? '', depth)]);
      case 'Tile':
        return of(0);
      case 'ReduceMax':
      case 'ReduceMin':
      case 'ReduceSum':
        return node.integers.get('keepdims')?.[0] === 0 && this.axes(node) === null ? 0 : null;
      default:
        return null;
    }
  }

  /** The axes that a node names. */
  axes({ inputs, integers }: FlatNode): readonly number[] | null {
    const given = this.graph.constants.get(inputs[1] ?? '');
    return integers.get('axes') ?? given?.integers ?? (given?.scalar == null ? null : [given.scalar]);
  }

  /** The elements of a list, such as a shape. */
  private elements(name: string, depth: number): number | null {
    const constant = this.graph.constants.get(name);
    if (constant !== undefined) return constant.dims.length === 1 ? constant.dims[0]! : null;
    const node = this.producers.get(name);
    if (node === undefined || depth > MAX_CHAIN) return null;
    const of = (index: number) => this.elements(node.inputs[index] ?? '', depth + 1);
    if (node.opType === 'Shape') {
      const isWhole = !node.integers.has('start') && !node.integers.has('end');
      return isWhole ? this.rank(node.inputs[0] ?? '', depth + 1) : null;
    }
    if (node.opType === 'Unsqueeze') return this.rank(node.inputs[0] ?? '', depth + 1) === 0 ? 1 : null;
    if (node.opType === 'Concat') {
      const counts = node.inputs.map((input) => this.elements(input, depth + 1));
      return counts.reduce<number | null>(plus, 0);
    }
    if (node.opType === 'Where') return of(2) ?? of(1);
    if (node.opType === 'ConstantOfShape') return this.elementsLike(node, depth);
    if (node.opType === 'Cast' || node.opType === 'Mul') return of(0);
    if (node.opType === 'Reshape') return this.isOneList(node) ? of(0) : null;
    return null;
  }

  /** The elements of a list that is as long as another. */
  private elementsLike({ inputs }: FlatNode, depth: number): number | null {
    const shape = this.producers.get(inputs[0] ?? '');
    return shape?.opType === 'Shape' ? this.elements(shape.inputs[0] ?? '', depth + 1) : null;
  }

  /** The tensors of which a list consists, such as a shape in which some dimensions stay as they are; null if unknown. */
  parts(name: string): readonly string[] | null {
    let node = this.producers.get(name);
    for (let i = 0; i < MAX_CHAIN && node !== undefined; i++) {
      if (node.opType === 'Concat')
        return node.inputs.every((input) => this.elements(input, 0) === 1) ? node.inputs : null;
      const isPassing = node.opType === 'Cast' || (node.opType === 'Reshape' && this.isOneList(node));
      if (!isPassing && node.opType !== 'Where') return null;
      node = this.producers.get(node.inputs[isPassing ? 0 : 2] ?? '');
    }
    return null;
  }

  /** Whether a node reshapes to one axis. */
  private isOneList({ inputs }: FlatNode): boolean {
    return this.graph.constants.get(inputs[1] ?? '')?.scalar === -1;
  }
}

function plus(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}

function negated(count: number | null): number | null {
  return count === null ? null : -count;
}

function most(ranks: readonly (number | null)[]): number | null {
  return ranks.includes(null) ? null : Math.max(...ranks.map(Number));
}
