/** The control points of a ring in order, and how they change with its members. */

export interface RingPoints {
  /** Positions, ascending. Members may have the same position. */
  readonly at: Uint32Array;
  /** The owner of each point: an index into the members. At equal positions, the last owner in order of ID comes first. */
  readonly owners: Uint32Array;
}

export const NO_POINTS: RingPoints = { at: new Uint32Array(0), owners: new Uint32Array(0) };

/** The members of a ring in order of ID, and their numbers of points. */
export interface RingShares {
  readonly members: readonly string[];
  readonly counts: ReadonlyMap<string, number>;
}

export const NO_SHARES: RingShares = { members: [], counts: new Map() };

/** The points of a member with these indices. Which point has which index never changes. */
type PointsOf = (id: string, from: number, end: number) => readonly number[];

/** A position and an owner as one number: a place in the order of points. Numbers up to 2^53 are exact, and positions are below 2^32. */
const OWNERS = 2 ** 21;
const placeOf = (at: number, owner: number) => at * OWNERS + (OWNERS - 1 - owner);

/**
 * The points of `after`, made from `before` in one pass. Only new points, and points that a remaining member loses, are computed and
 * sorted: a worker that joins or leaves a fleet of a thousand costs a copy of the points instead of a thousand times as many hashes.
 */
export function changedPoints(
  points: RingPoints,
  before: RingShares,
  after: RingShares,
  pointsOf: PointsOf,
): RingPoints {
  const renumbered = newIndices(before.members, after.members);
  const gone = placesOf(before, after, (id) => after.counts.has(id), pointsOf);
  const come = placesOf(after, before, () => true, pointsOf);
  const at = new Uint32Array([...after.counts.values()].reduce((sum, count) => sum + count, 0));
  const owners = new Uint32Array(at.length);
  let out = 0;
  let nextGone = 0;
  let nextCome = 0;
  const put = (position: number, owner: number) => {
    at[out] = position;
    owners[out++] = owner;
  };
  const putComingBefore = (place: number) => {
    for (; nextCome < come.length && come[nextCome]! < place; nextCome++) {
      const position = Math.floor(come[nextCome]! / OWNERS);
      put(position, OWNERS - 1 - (come[nextCome]! - position * OWNERS));
    }
  };
  for (let i = 0; i < points.at.length; i++) {
    const position = points.at[i]!;
    const owner = points.owners[i]!;
    if (gone[nextGone] === placeOf(position, owner)) {
      nextGone++;
      continue;
    }
    const index = renumbered[owner]!;
    if (index === GONE) continue;
    putComingBefore(placeOf(position, index));
    put(position, index);
  }
  putComingBefore(Number.POSITIVE_INFINITY);
  return { at, owners };
}

/** The places of the points that some members have in `one` and not in `other`, ascending. */
function placesOf(
  one: RingShares,
  other: RingShares,
  concerns: (id: string) => boolean,
  pointsOf: PointsOf,
): Float64Array {
  const places: number[] = [];
  for (const [owner, id] of one.members.entries()) {
    if (!concerns(id)) continue;
    const [from, end] = [other.counts.get(id) ?? 0, one.counts.get(id) ?? 0];
    if (from < end) for (const at of pointsOf(id, from, end)) places.push(placeOf(at, owner));
  }
  return Float64Array.from(places).sort();
}

/** In place of the index of a member that is not there any more. */
const GONE = 2 ** 32 - 1;

/** The index in `after` of each of `before`. Both are in the same order. */
function newIndices(before: readonly string[], after: readonly string[]): Uint32Array {
  const indices = new Map(after.map((id, index) => [id, index]));
  return Uint32Array.from(before, (id) => indices.get(id) ?? GONE);
}
