/**
 * Keeps rows of one kind adjacent, so that they run as one batch: where a row must go, and which rows must move for it. A row of each group of equal
 * rows moves at most.
 */

/** A copy of one row over another. */
export interface RowMove {
  readonly from: number;
  readonly to: number;
}

/** The row for one more of this kind: after the last of its kind, or at the end. */
export function rowFor<K>(kinds: readonly K[], kind: K): number {
  const last = kinds.lastIndexOf(kind);
  return last === -1 ? kinds.length : last + 1;
}

/** The moves, in order, that free row `place`, which a group ends before. The row after the last one must be free. */
export function movesToFree<K>(kinds: readonly K[], place: number): RowMove[] {
  const moves: RowMove[] = [];
  let hole = kinds.length;
  while (hole > place) {
    let first = hole - 1;
    while (first > place && kinds[first - 1] === kinds[hole - 1]) first--;
    moves.push({ from: first, to: hole });
    hole = first;
  }
  return moves;
}

/** The moves, in order, that overwrite row `index` and free the last row. */
export function movesToFill<K>(kinds: readonly K[], index: number): RowMove[] {
  const moves: RowMove[] = [];
  let hole = index;
  while (hole < kinds.length - 1) {
    let last = hole + 1;
    while (last + 1 < kinds.length && kinds[last + 1] === kinds[last]) last++;
    moves.push({ from: last, to: hole });
    hole = last;
  }
  return moves;
}
