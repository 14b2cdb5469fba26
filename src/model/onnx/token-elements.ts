import type { FlatNode } from './flat-nodes.js';
import { isComparison, isLinear } from './operators.js';
import {
  bendOf,
  CONSTANT,
  isLike,
  isSettled,
  lengthOf,
  NONE,
  type Origin,
  placeOf,
  type RowCount,
  shiftOf,
  summed,
  type TokenLength,
  type TokenPlace,
} from './token-origin.js';
import { type Known, shown } from './token-rows.js';

/** What operators make of places and lengths that compute element by element. */

/** The result of an operator that computes element by element, without contents. */
export function combined(node: FlatNode, origins: readonly Origin[], known: Known): Origin {
  const { opType } = node;
  const bent = origins.map(bendOf).find((by) => by !== null) ?? null;
  if (!origins.some(({ kind }) => kind === 'place')) return lengths(node, origins, bent, known);
  const place = { ...joined(origins), by: bent };
  if (isComparison(opType)) {
    const [a, b] = origins.map(shiftOf);
    const isApart = isLike(summed(a ?? null, b ?? null, -1), NONE);
    const isSeen = place.values === 'seen';
    return { ...place, values: isSeen ? 'seen' : 'other', shift: NONE, by: bent ?? (isApart ? null : shown(node)) };
  }
  if (opType === 'Add' || opType === 'Sub') {
    const [a, b] = origins.map(shiftOf);
    const isPosition = origins.every((origin) => origin.kind !== 'place' || origin.values === 'position');
    const shift = summed(a ?? null, b ?? null, opType === 'Add' ? 1 : -1);
    return { ...place, shift: shift ?? null, values: isPosition ? 'position' : 'other' };
  }
  if (opType === 'Cast' || opType === 'CastLike' || opType === 'Identity')
    return { ...(origins[0] as TokenPlace), by: bent };
  if (origins.every(isSettled))
    return {
      ...place,
      values: place.values === 'seen' || (isLinear(opType) && place.values === 'position') ? place.values : 'other',
    };
  const isScaled = opType === 'Neg' || (opType === 'Mul' && origins.some(({ kind }) => kind === 'constant'));
  return { ...place, values: 'other', shift: null, by: bent ?? (isScaled ? null : shown(node)) };
}

/** The result of an operator that computes with lengths and constants. */
function lengths(node: FlatNode, origins: readonly Origin[], bent: string | null, known: Known): Origin {
  const { opType } = node;
  if (isComparison(opType)) return compared(node, origins, bent, known);
  if (!isLinear(opType)) return lengthOf(bent ?? shown(node));
  if (origins.length === 1)
    return opType === 'Neg' ? lengthOf(bent, negated(origins[0]!)) : { ...(origins[0] as TokenLength), by: bent };
  const [a, b] = origins.map((origin, i) => countOf(origin, node.inputs[i]!, known));
  if (origins.length !== 2 || (opType !== 'Add' && opType !== 'Sub')) return lengthOf(bent);
  return lengthOf(bent, summed(a ?? null, b ?? null, opType === 'Add' ? 1 : -1));
}

function countOf(origin: Origin, tensor: string, known: Known): RowCount | null {
  if (origin.kind === 'length') return origin.count;
  const scalar = known.constants.get(tensor)?.scalar ?? null;
  return scalar === null ? null : { ...NONE, plus: scalar };
}

function compared(node: FlatNode, origins: readonly Origin[], bent: string | null, known: Known): Origin {
  const counted = origins.find((origin) => origin.kind === 'length')!;
  const other = node.inputs.map((name) => known.constants.get(name)?.scalar ?? null).find((scalar) => scalar !== null);
  const { by, count } = counted as TokenLength;
  const isCount = by === null && count !== null && count.news >= 0 && count.pasts >= 0;
  // Whether there is a token at all, or more than one, is asked for other reasons than rotary tables; the trial runs both.
  if (isCount && other !== undefined && other! - count.plus <= 1) return CONSTANT;
  return lengthOf(bent ?? shown(node));
}

/** One place of several, whose elements are computed from the same tokens. */
export function joined(origins: readonly Origin[]): TokenPlace {
  const places = origins.filter((origin) => origin.kind === 'place');
  const [first] = places as [TokenPlace];
  const shifts = new Set(
    places.map(({ shift }) => JSON.stringify(shift && shift !== 'addresses' ? [shift.news, shift.pasts] : shift)),
  );
  const isKnown = places.every(({ axes }) => axes !== null);
  return placeOf({
    by: origins.map(bendOf).find((by) => by !== null) ?? null,
    values: places.every(({ values }) => values === first.values) ? first.values : 'other',
    axes: isKnown ? [...new Set(places.flatMap(({ axes }) => axes!))] : null,
    shift: shifts.size === 1 ? first.shift : places.every((place) => place.shift !== null) ? 'addresses' : null,
    count: places.length === 1 ? first.count : null,
    size: places.map(({ size }) => size).find((size) => size !== null) ?? null,
  });
}

function negated(origin: Origin): RowCount | null {
  return summed(NONE, shiftOf(origin), -1);
}
