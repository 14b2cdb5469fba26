import type { FlatGraph, FlatNode } from './flat-nodes.js';
import type { TensorRanks } from './tensor-ranks.js';
import {
  addressesRows,
  bendOf,
  CONSTANT,
  isLike,
  isSettled,
  lengthOf,
  NONE,
  type Origin,
  PAST,
  placeOf,
  type RowCount,
  RUN,
  shiftOf,
  summed,
  TOTAL,
  type TokenContent,
  type TokenLength,
  type TokenPlace,
} from './token-origin.js';

/** Whether an operator that moves the rows of a tensor keeps the place of each token. In doubt, the result depends on the length. */

/** What lies beyond every token. */
const FAR = 2 ** 31 - 1;

/** What is known about a graph's tensors up to a node. */
export interface Known {
  readonly constants: FlatGraph['constants'];
  readonly ranks: TensorRanks;
  originOf(tensor: string | undefined): Origin;
}

export function shown({ opType, outputs }: FlatNode): string {
  return `${opType} "${outputs[0]}"`;
}

/** What an operator made that is not known to keep tokens apart. */
export function doubtful(node: FlatNode, known: Known): TokenLength {
  const bent = node.inputs.map((input) => bendOf(known.originOf(input))).find((by) => by !== null);
  return lengthOf(bent ?? shown(node));
}

/** The axis, counted from the end; null if the number of axes is unknown. */
function fromEnd(axis: number, tensor: string, { ranks }: Known): number | null {
  if (axis < 0) return axis;
  const rank = ranks.rank(tensor);
  return rank === null ? null : axis - rank;
}

/** Whether an axis of a tensor may have tokens. */
function mayHaveTokens(axis: number, tensor: string, { axes }: TokenPlace, known: Known): boolean {
  const end = fromEnd(axis, tensor, known);
  return axes === null || end === null || axes.includes(end);
}

/** An axis of a tensor as a number. */
export function dimension({ shapeOf, by }: TokenLength, index: number, known: Known): Origin {
  if (shapeOf === null) return lengthOf(by);
  const { tensor, origin } = shapeOf;
  if (origin.kind === 'content') return contentDimension(tensor, origin, index, known);
  const isOfInput = origin.axes?.length === 1 && known.ranks.rank(tensor) !== null;
  if (!mayHaveTokens(index, tensor, origin, known)) return CONSTANT;
  return lengthOf(by, isOfInput && origin.size === null ? origin.count : null);
}

function contentDimension(tensor: string, { scores, count, size }: TokenContent, index: number, known: Known): Origin {
  if (tensor === 'input_ids') return index === 1 || index === -1 ? lengthOf(null, RUN) : CONSTANT;
  if (isLastAxis(index, tensor, known) || index === 3)
    return scores ? lengthOf(size, size === null ? count : null) : CONSTANT;
  // The batch, and the heads and their size, are not numbers of tokens.
  return [1, 2, -2].includes(index) ? lengthOf(size, size === null ? count : null) : CONSTANT;
}

function isLastAxis(axis: number, tensor: string, known: Known): boolean {
  return fromEnd(axis, tensor, known) === -1;
}

/** The operator by which a part of contents has a number of rows that is not a linear function of the length; null if it has. */
export function slicedContents(node: FlatNode, known: Known): string | null {
  const axis = axisOf(node, known);
  if (axis !== null && isLastAxis(axis, node.inputs[0] ?? '', known)) return null;
  const [start, end] = [boundOf(node, 1, known), boundOf(node, 2, known)];
  if (start.by !== null || end.by !== null) return start.by ?? end.by;
  const isWhole = start.value === 0 && (end.isFar || !end.isConstant);
  return isWhole || (!start.isConstant && (end.isFar || !end.isConstant)) ? null : shown(node);
}

/** The numbers of a Range. The last one belongs to the last token. */
export function ranged(node: FlatNode, known: Known): Origin {
  const [start, limit, step] = [0, 1, 2].map((i) => known.originOf(node.inputs[i]));
  if ([start, limit, step].every((origin) => origin!.kind === 'constant')) return CONSTANT;
  const isStepped = step!.kind !== 'constant' || (known.constants.get(node.inputs[2] ?? '')?.scalar ?? 1) !== 1;
  if (isStepped || [start, limit].some((origin) => origin!.kind === 'content' || origin!.kind === 'place'))
    return doubtful(node, known);
  const count = summed(shiftOf(limit!), shiftOf(start!), -1);
  if (bendOf(start!) !== null || !(isLike(count, RUN) || isLike(count, TOTAL))) {
    // Numbers from a constant on are those of positions, however many they are.
    if (start!.kind !== 'constant') return doubtful(node, known);
    return placeOf({
      values: 'position',
      axes: [-1],
      size: bendOf(limit!),
      shift: count === null ? NONE : shiftFor(count),
    });
  }
  const shift = summed(shiftOf(limit!), TOTAL, -1);
  return placeOf({ values: 'position', axes: [-1], shift, count, size: bendOf(limit!) });
}

function shiftFor({ news, pasts }: RowCount): RowCount {
  return { news: news - 1, pasts: pasts - 1, plus: 0 };
}

/** Rows of positions, masks and tables that an index picks. */
export function picked(node: FlatNode, data: Origin, known: Known): Origin {
  const [tensor = '', indexTensor = ''] = node.inputs;
  const index = known.originOf(indexTensor);
  const axis = node.integers.get('axis')?.[0] ?? 0;
  if (data.kind === 'length') {
    const scalar = known.constants.get(indexTensor)?.scalar ?? null;
    if (node.opType === 'Gather' && scalar !== null) return dimension(data, scalar, known);
    return index.kind === 'constant' && data.shapeOf === null ? lengthOf(data.by) : doubtful(node, known);
  }
  if (data.kind === 'place' && index.kind === 'constant') {
    const isApart =
      node.opType === 'Gather' ? !mayHaveTokens(axis, tensor, data, known) : leadsApart(node, data, known);
    if (isApart) return { ...data, axes: null, count: null };
    // The number of one token: the same for all of them.
    return lengthOf(data.by ?? (data.values === 'position' && node.opType === 'Gather' ? null : shown(node)));
  }
  if (data.kind === 'place' && data.values === 'seen' && index.kind !== 'content') return placeOf({ values: 'seen' });
  if (index.kind === 'length' || (data.kind === 'place' && index.kind === 'content')) return doubtful(node, known);
  if (index.kind !== 'place') return data;
  if (data.kind === 'place') {
    const kept = addressesRows(index) ? (data.by ?? index.by) : (doubtful(node, known).by as string);
    const axes = node.opType === 'GatherElements' ? index.axes : null;
    return placeOf({ by: kept, axes, shift: data.shift, size: data.size ?? index.size });
  }
  const by = index.by ?? (isSettled(index) ? null : shown(node));
  const width = known.constants.get(tensor)?.dims.length;
  if (node.opType === 'GatherElements') return placeOf({ by, axes: index.axes, size: index.size });
  const isRows =
    node.opType.startsWith('Gather') &&
    node.opType !== 'GatherND' &&
    axis === 0 &&
    width !== undefined &&
    index.axes !== null;
  return placeOf({ by, axes: isRows ? index.axes!.map((at) => at - width + 1) : null, size: index.size });
}

/** Whether a GatherND with constant indices picks along axes without tokens alone, as torch's `repeat_interleave` does. */
function leadsApart(
  { opType, inputs: [tensor = '', index = ''] }: FlatNode,
  { axes }: TokenPlace,
  { ranks }: Known,
): boolean {
  const [rank, leading] = [ranks.rank(tensor), ranks.indexedAxes(index)];
  return (
    opType === 'GatherND' &&
    axes !== null &&
    rank !== null &&
    leading !== null &&
    axes.every((at) => rank + at >= leading)
  );
}

/** A part of a place, or of a table, along one axis. */
export function slicedRows(node: FlatNode, data: Origin, known: Known): Origin {
  const [start, end] = [boundOf(node, 1, known), boundOf(node, 2, known)];
  const bounds = [start, end];
  const axis = axisOf(node, known);
  if (data.kind === 'place' && axis !== null && !mayHaveTokens(axis, node.inputs[0] ?? '', data, known)) return data;
  const bent = bounds.map(({ by }) => by).find((by) => by !== null) ?? null;
  if (data.kind === 'place') return slicedPlace(node, data, { start, end, bent }, known);
  if (bounds.every(({ isConstant }) => isConstant)) return CONSTANT;
  // A table's last rows for the last tokens: its rows are ahead by what it does not have.
  const isLast = start.count !== null && (start.count.news !== 0 || end.isFar);
  if (isLast && end.isFar && start.by === null)
    return placeOf({ shift: summed(NONE, start.count, 1), values: 'position' });
  const count = summed(end.count, start.count, -1);
  const isRows = start.isConstant || isLike(start.count, PAST);
  const isWhole = isLike(count, RUN) || isLike(count, TOTAL) || (start.value === 0 && end.count === null);
  if (!isRows || !isWhole || start.by !== null) return bent === null ? doubtful(node, known) : lengthOf(bent);
  const by = start.isConstant && isLike(end.count, RUN) ? shown(node) : null;
  return placeOf({ by, size: end.by });
}

function slicedPlace(
  node: FlatNode,
  data: TokenPlace,
  { start, end, bent }: { readonly start: Bound; readonly end: Bound; readonly bent: string | null },
  known: Known,
): Origin {
  const fromStart = start.value === 0 || (isExactly(start.count, PAST) && !start.isConstant);
  const isRun = isExactly(start.count, { news: -1, pasts: 0, plus: 0 });
  const toEnd = end.isFar || !end.isConstant;
  if ((fromStart || isRun) && toEnd && start.by === null) {
    const count = start.value === 0 ? (end.isFar ? data.count : end.count) : null;
    const size = data.size ?? bent;
    // Rows up to a number of tokens that is bounded are still those of their tokens.
    return { ...data, count, size };
  }
  if (data.values === 'position' && start.value === -1) return lengthOf(data.by);
  return doubtful(node, known);
}

function isExactly(count: RowCount | null, { news, pasts, plus }: RowCount): boolean {
  return count !== null && count.news === news && count.pasts === pasts && count.plus === plus;
}

/** A bound of a Slice. */
interface Bound {
  readonly isConstant: boolean;
  /** Whether it lies beyond every token. */
  readonly isFar: boolean;
  readonly value: number | null;
  readonly count: RowCount | null;
  readonly by: string | null;
}

function boundOf({ inputs, integers }: FlatNode, index: 1 | 2, known: Known): Bound {
  const name = inputs[index];
  const origin = known.originOf(name);
  const stated = integers.get(index === 1 ? 'starts' : 'ends');
  const value = known.constants.get(name ?? '')?.scalar ?? (stated?.length === 1 ? stated[0]! : null);
  const isConstant = origin.kind === 'constant';
  const isFar = isConstant && value !== null && value >= FAR;
  if (!isConstant)
    return {
      isConstant,
      isFar,
      value: null,
      count: origin.kind === 'length' ? origin.count : null,
      by: bendOf(origin),
    };
  return { isConstant, isFar, value, count: value === null ? null : { ...NONE, plus: value }, by: null };
}

function axisOf({ inputs, integers }: FlatNode, { constants }: Known): number | null {
  if ((inputs[3] ?? '') !== '') return constants.get(inputs[3]!)?.scalar ?? null;
  const stated = integers.get('axes');
  return stated === undefined ? 0 : stated.length === 1 ? stated[0]! : null;
}

/** The axes with tokens after a node that arranges elements anew; null if unknown. */
export function arrangedAxes(node: FlatNode, { axes }: TokenPlace, known: Known): readonly number[] | null {
  const [tensor = '', argument] = node.inputs;
  if (axes === null) return null;
  const rank = known.ranks.rank(tensor);
  switch (node.opType) {
    case 'Concat':
    case 'Split':
    case 'Trilu':
      return axes;
    case 'Expand':
    case 'Tile': {
      if (known.originOf(argument).kind === 'constant') return axes;
      const parts = known.ranks.parts(argument ?? '');
      if (parts === null) return null;
      const repeated = parts.flatMap((part, i) => (known.originOf(part).kind === 'constant' ? [] : [i - parts.length]));
      return [...new Set([...axes, ...repeated])];
    }
    case 'Transpose': {
      const perm = node.integers.get('perm');
      if (perm === undefined) return null;
      return axes.map((at) => perm.indexOf(at + perm.length) - perm.length);
    }
    case 'Unsqueeze': {
      const added = known.ranks.axes(node);
      if (added === null || rank === null) return null;
      const width = rank + added.length;
      const news = new Set(added.map((axis) => (axis < 0 ? axis + width : axis)));
      const kept = Array.from({ length: width }, (_, i) => i).filter((i) => !news.has(i));
      return axes.map((at) => kept[rank + at]! - width);
    }
    default:
      return null;
  }
}

/** What a product of matrices makes of places: a sum over tokens depends on the length. */
export function multiplied(node: FlatNode, known: Known): Origin {
  const origins = [0, 1].map((i) => known.originOf(node.inputs[i]));
  const sums = [-1, -2].map((axis, i) => {
    const origin = origins[i]!;
    if (origin.kind !== 'place') return origin.kind === 'length';
    const rank = known.ranks.rank(node.inputs[i] ?? '');
    return rank === null || origin.axes === null || origin.axes.includes(rank === 1 ? -1 : axis) || !isSettled(origin);
  });
  if (sums.includes(true)) return doubtful(node, known);
  const places = origins.filter((origin) => origin.kind === 'place');
  const axes = [...new Set(places.flatMap((place) => place.axes!))];
  return placeOf({
    axes,
    by: places.map(({ by }) => by).find((by) => by !== null) ?? null,
    size: places.map(({ size }) => size).find((size) => size !== null) ?? null,
  });
}
