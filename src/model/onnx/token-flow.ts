import type { FlatGraph, FlatNode } from './flat-nodes.js';
import type { GraphNode } from './graph.js';
import {
  type Axes,
  exemptInputs,
  isArrangement,
  isElementwise,
  isReduction,
  keepsIndices,
  mixesTokens,
  standsBeforeSoftmax,
} from './operators.js';
import { TensorRanks } from './tensor-ranks.js';
import { combined, joined } from './token-elements.js';
import {
  bendOf,
  CONSTANT,
  CONTENT,
  inputOrigin,
  isLike,
  isSettled,
  lengthOf,
  NONE,
  type Origin,
  placeOf,
  type RowCount,
  summed,
  TOTAL,
  type TokenContent,
  type TokenLength,
  type TokenPlace,
} from './token-origin.js';
import {
  arrangedAxes,
  dimension,
  doubtful,
  type Known,
  multiplied,
  picked,
  ranged,
  shown,
  slicedContents,
  slicedRows,
} from './token-rows.js';

/** Follows lengths and positions through a graph, to find numbers of tokens that depend on other tokens than those before them. */

/** The computations of a graph that depend on more than the tokens before a token, in words; null for none. */
export interface TokenFlow {
  /** A computation with the length of the sequence that is not linear, and that enters K/V or logits. */
  readonly byLength: string | null;
  /** A computation over all tokens of a run. */
  readonly byRun: string | null;
}

/**
 * Follows the lengths and positions of a graph. Lengths that are shapes, bounds and positions are as in any decoder. One that is compared,
 * rounded, bounded or raised to a power, and then enters numbers that tokens have, makes these numbers depend on the length. So does any
 * operator on positions, masks and their tables that is not known to keep tokens apart.
 * @param told nodes whose results do not count, because their lengths are inputs
 */
export function tokenFlow(graph: FlatGraph, told: ReadonlySet<GraphNode>): TokenFlow {
  const flow = new Flow(graph);
  for (const node of graph.nodes) flow.pass(node, node.own !== null && told.has(node.own));
  return flow;
}

class Flow implements TokenFlow, Known {
  byLength: string | null = null;
  byRun: string | null = null;
  readonly constants: FlatGraph['constants'];
  readonly ranks: TensorRanks;
  private readonly origins = new Map<string, Origin>();

  constructor(graph: FlatGraph) {
    this.constants = graph.constants;
    this.ranks = new TensorRanks(graph);
  }

  pass(node: FlatNode, isTold: boolean): void {
    const origin = isTold ? CONSTANT : this.result(node);
    for (const output of node.outputs) if (output !== '') this.origins.set(output, origin);
  }

  originOf(name = ''): Origin {
    return this.origins.get(name) ?? inputOrigin(name);
  }

  private result(node: FlatNode): Origin {
    const { opType, inputs } = node;
    const first = this.originOf(inputs[0]);
    if (opType === 'Shape') return this.shape(node, first);
    if (opType === 'Size')
      return first.kind === 'content' || first.kind === 'place' ? lengthOf(null) : this.shape(node, first);
    if (opType === 'Range') return ranged(node, this);
    if (isReduction(opType)) return this.reduced(node, first);
    const origins = inputs.map((name) => this.originOf(name));
    const exempt = exemptInputs(opType);
    const isPlaced = opType.startsWith('Scatter');
    if (origins.some(({ kind }, i) => kind === 'content' && (isPlaced || !exempt.includes(i))))
      return this.contents(node, origins);
    if (origins.every(({ kind }) => kind === 'constant')) return CONSTANT;
    switch (opType) {
      case 'Gather':
      case 'GatherBlockQuantized':
      case 'GatherElements':
      case 'GatherND':
        return this.gathered(node, first);
      case 'Slice':
        return this.sliced(node, first);
      case 'ConstantOfShape':
        return placeOf({ values: 'seen', size: bendOf(first) });
      case 'NonZero':
      case 'CumSum':
        return this.counted(node, first);
      case 'ScatterND':
      case 'ScatterElements':
        return this.scattered(node, origins);
      case 'MatMul':
        return multiplied(node, this);
      case 'RotaryEmbedding':
        return origins.every(isSettled) ? joined(origins) : doubtful(node, this);
    }
    if (isArrangement(opType)) return this.arranged(node, origins);
    return isElementwise(opType) ? combined(node, origins, this) : doubtful(node, this);
  }

  private shape({ inputs: [tensor = ''], integers }: FlatNode, origin: Origin): Origin {
    if (origin.kind === 'length') return origin.by === null ? CONSTANT : lengthOf(origin.by);
    if (origin.kind === 'constant') return CONSTANT;
    const whole: TokenLength = { ...lengthOf(origin.size), shapeOf: { tensor, origin } };
    const start = integers.get('start')?.[0] ?? 0;
    const end = integers.get('end')?.[0];
    return end === start + 1 || (start === -1 && end === undefined) ? dimension(whole, start, this) : whole;
  }

  private gathered(node: FlatNode, data: Origin): Origin {
    const index = this.originOf(node.inputs[1]);
    if (data.kind !== 'place' && data.kind !== 'length' && index.kind === 'content')
      return { ...CONTENT, count: index.count };
    return picked(node, data, this);
  }

  private sliced(node: FlatNode, data: Origin): Origin {
    if (data.kind !== 'length') return slicedRows(node, data, this);
    const { inputs, integers } = node;
    if ([1, 2].some((i) => this.originOf(inputs[i]).kind !== 'constant')) return doubtful(node, this);
    const start = this.constants.get(inputs[1] ?? '')?.scalar ?? integers.get('starts')?.[0] ?? null;
    const end = this.constants.get(inputs[2] ?? '')?.scalar ?? integers.get('ends')?.[0] ?? null;
    const isOne = start !== null && (start === -1 || (end !== null && end - start === 1));
    return isOne ? dimension(data, start, this) : lengthOf(data.by);
  }

  private reduced(node: FlatNode, data: Origin): Origin {
    const axes = this.axes(node);
    switch (data.kind) {
      case 'constant':
        return CONSTANT;
      case 'length':
        return lengthOf(data.by ?? (node.opType === 'ReduceProd' ? null : shown(node)));
      case 'place':
        return this.reducedPlace(node, data);
      case 'content':
        if (mixesTokens(node.opType, axes, data.flat))
          this.byRun ??= `${shown(node)} is computed over all tokens of a run`;
        return { ...CONTENT, count: data.count };
    }
  }

  /** How many tokens are seen, and the position of the last one, are the length; anything else over tokens depends on it. */
  private reducedPlace(node: FlatNode, data: TokenPlace): TokenLength {
    const { opType } = node;
    const isCount = data.values === 'seen' && opType === 'ReduceSum';
    const isLast = data.values === 'position' && opType === 'ReduceMax' && isSettled(data);
    const isInput = data.axes?.length === 1 && data.axes[0] === -1;
    if (isCount) return lengthOf(data.by ?? data.size, isInput ? data.count : null);
    if (isLast) return lengthOf(data.by ?? data.size, isInput ? { ...TOTAL, plus: -1 } : null);
    return lengthOf(data.by ?? shown(node));
  }

  private axes({ inputs, integers }: FlatNode): Axes {
    const stated = integers.get('axes') ?? integers.get('axis');
    if (stated !== undefined) return stated;
    if (inputs.length < 2 || inputs[1] === '') return 'all';
    const given = this.constants.get(inputs[1]!);
    if (given?.integers) return given.integers;
    return given?.scalar == null ? 'unknown' : [given.scalar];
  }

  /** The positions of tokens that are seen. */
  private counted(node: FlatNode, data: Origin): Origin {
    if (data.kind !== 'place' || data.values !== 'seen' || data.by !== null) return doubtful(node, this);
    const { axes, count, size } = data;
    const shift = isLike(count, TOTAL) ? NONE : null;
    if (node.opType === 'NonZero') return placeOf({ values: 'position', axes: [-1], shift, count, size });
    return placeOf({ values: 'position', axes, shift, count, size });
  }

  private scattered(node: FlatNode, origins: readonly Origin[]): Origin {
    const [, index] = origins;
    const isAddressed =
      index!.kind === 'constant' || (index!.kind === 'place' && index!.by === null && index!.shift !== null);
    if (origins.some(({ kind }) => kind === 'length') || !isAddressed) return doubtful(node, this);
    const [data, , updates] = origins as [Origin, Origin, Origin];
    return isSettled(data) && isSettled(updates) ? joined([data, updates]) : doubtful(node, this);
  }

  private arranged(node: FlatNode, origins: readonly Origin[]): Origin {
    const exempt = exemptInputs(node.opType);
    const elements = origins.filter((_, i) => !exempt.includes(i));
    const size = origins.map(bendOf).find((by, i) => by !== null && exempt.includes(i)) ?? null;
    const places = elements.filter((origin) => origin.kind === 'place');
    const lengths = elements.filter((origin) => origin.kind === 'length');
    if (places.length === 0 && lengths.length === 0) {
      // A constant that is repeated for each token.
      const isRepeated = node.opType === 'Expand' || node.opType === 'Tile';
      return isRepeated ? placeOf({ size }) : node.opType === 'Trilu' ? doubtful(node, this) : CONSTANT;
    }
    if (places.length === 0) {
      const by = elements.map(bendOf).find((bent) => bent !== null) ?? null;
      if (node.opType === 'Trilu') return doubtful(node, this);
      const [only] = lengths;
      return elements.length === 1 && only!.kind === 'length' ? { ...only!, by } : lengthOf(by);
    }
    if (lengths.length > 0 || (node.opType === 'Trilu' && origins[1]?.kind === 'length')) return doubtful(node, this);
    const together = joined(elements);
    const axes =
      places.length === 1 || places.every((place) => String(place.axes) === String(places[0]!.axes))
        ? arrangedAxes(node, places[0]!, this)
        : null;
    if (node.opType === 'Split' && !this.splitsApart(node, places[0]!)) return doubtful(node, this);
    return {
      ...together,
      axes,
      size: together.size ?? size,
      values: elements.length === 1 ? places[0]!.values : together.values,
    };
  }

  private splitsApart({ inputs: [tensor = ''], integers }: FlatNode, { axes }: TokenPlace): boolean {
    const axis = integers.get('axis')?.[0] ?? 0;
    const rank = this.ranks.rank(tensor);
    const end = axis < 0 ? axis : rank === null ? null : axis - rank;
    return axes !== null && end !== null && !axes.includes(end);
  }

  /** The result of an operator on contents: what enters them besides must not depend on the length. */
  private contents(node: FlatNode, origins: readonly Origin[]): TokenContent {
    const { opType, inputs } = node;
    const exempt = exemptInputs(opType);
    const elements = origins.filter((_, i) => !exempt.includes(i));
    const contents = origins.filter((origin, i) => origin.kind === 'content' && !exempt.includes(i)) as TokenContent[];
    const index =
      opType === 'NonZero' || (contents.length > 0 && contents.every((one) => one.index) && keepsIndices(opType));
    const shift = this.shifted(node, elements, index);
    const isProduct = opType === 'MatMul' && contents.length > 1;
    return {
      kind: 'content',
      flat: opType === 'Reshape' && this.constants.get(inputs[1]!)?.dims[0] === 1,
      scores: this.hasScores(node, contents),
      count: isProduct ? null : countOf(opType, contents),
      size: this.sizeOf(node, contents),
      index,
      shift,
    };
  }

  /** Marks what depends on the length. @returns the operator by which scores or indices do that is harmless so far */
  private shifted(node: FlatNode, elements: readonly Origin[], isIndex: boolean): string | null {
    const { opType } = node;
    const bent = elements.map(bendOf).find((by) => by !== null) ?? null;
    const isChosen = (opType === 'Where' || opType === 'If') && elements[0]!.kind === 'length';
    if (isChosen) this.byLength ??= `${shown(node)} chooses by the length of the sequence`;
    const hasLength = elements.some(({ kind }) => kind === 'length');
    const isAhead = elements.some((origin) => origin.kind === 'place' && !isSettled(origin));
    const before = elements.map((one) => (one.kind === 'content' ? one.shift : null)).find((by) => by !== null) ?? null;
    const shift = before ?? (isAhead || (hasLength && isIndex) ? shown(node) : null);
    const isKept = isIndex || opType === 'Softmax' || (standsBeforeSoftmax(opType) && !hasLength);
    const by = bent ?? (hasLength && !isIndex ? shown(node) : isKept ? null : shift);
    if (by !== null)
      this.byLength ??= `${shown(node)} computes with ${by}, which depends on the length of the sequence`;
    return opType === 'Softmax' || !isKept ? null : shift;
  }

  /** Whether the last axis may have tokens, as in transposed keys and their products with queries. */
  private hasScores({ opType, integers }: FlatNode, contents: readonly TokenContent[]): boolean {
    if (opType === 'MatMul') return contents.length > 1 && contents[1]!.scores;
    const perm = integers.get('perm');
    const isTurned = opType === 'Transpose' && perm?.at(-1) !== (perm?.length ?? 0) - 1;
    const scores = contents.some((one) => one.scores);
    return isTurned ? !scores : scores;
  }

  /** The operator by which the number of rows is not linear any more. */
  private sizeOf(node: FlatNode, contents: readonly TokenContent[]): string | null {
    if (node.opType === 'MatMul' && contents.length > 1) return null;
    const own = node.opType === 'Slice' ? slicedContents(node, this) : null;
    return own ?? contents.map(({ size }) => size).find((size) => size !== null) ?? null;
  }
}

/** The tokens of a result: those of past and new ones joined, or those that all inputs have. */
function countOf(opType: string, contents: readonly TokenContent[]): RowCount | null {
  const counts = contents.map(({ count }) => count);
  const [a, b] = counts;
  if (opType === 'Concat' && a && b && !isLike(a, b)) return counts.length === 2 ? summed(a, b) : null;
  return counts.find((count) => count !== null) ?? null;
}
