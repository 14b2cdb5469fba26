import { hash } from 'node:crypto';
import { createRequire } from 'node:module';
import type { BlockKey } from '../core/block.js';
import { epochOf, type RingMember } from '../core/epoch.js';
import { changedPoints, NO_POINTS, NO_SHARES, type RingPoints, type RingShares } from './points.js';

/** The ring that places segments on workers, by consistent hashing; the only file that imports consistent-hash. */

/** Control points on the ring of a worker of average memory. */
const RING_POINTS = 160;
/** Control points of the smallest and of the largest worker. */
const RING_POINTS_FLOOR = 8;
const RING_POINTS_CEILING = 2560;

/**
 * The part of `consistent-hash` that is used here; the package has no types. Its own way to add or remove a node sorts all points again, so the
 * sorted points are given to it, and it finds the place of a name among them.
 */
interface ConsistentHash {
  /** The control points, ascending. */
  _keys: ArrayLike<number>;
  /** The index of the first control point at or after the hash of a name; 0 after the last. */
  _locate(name: string): number;
}
const ConsistentHash = createRequire(import.meta.url)('consistent-hash') as new (options: {
  range: number;
}) => ConsistentHash;

/** The number of positions on the ring. The package hashes names to 24 bits, then shifts them by 5. */
const RANGE = 2 ** 29;
/** The number of points, 4 bytes each, in one SHA-256 digest. */
const POINTS_PER_HASH = 8;

/**
 * Maps segments to their homes. Every process with the same members, in any order, computes the same ring. A member of weight 0 has no
 * points. If all weights are equal, a member that joins or leaves moves only its own share; otherwise it also changes the average weight, and
 * with it the number of points of others.
 */
export class Ring {
  readonly epoch: string;
  /** The ids of the members that have points. */
  readonly members: readonly string[];
  private readonly shares: RingShares;
  private readonly points: RingPoints;
  private readonly hash = new ConsistentHash({ range: RANGE });

  /** @param before a ring of similar members, which makes this one cheaper to compute, and changes nothing else */
  constructor(members: readonly RingMember[], before: Ring | null = null) {
    this.epoch = epochOf(members);
    const placed = members.filter((member) => member.weight > 0).sort((a, b) => (a.id < b.id ? -1 : 1));
    this.members = placed.map(({ id }) => id);
    const average = placed.reduce((sum, member) => sum + member.weight, 0) / placed.length;
    const counts = new Map(placed.map(({ id, weight }) => [id, pointCount(weight / average)]));
    this.shares = { members: this.members, counts };
    this.points = changedPoints(before?.points ?? NO_POINTS, before?.shares ?? NO_SHARES, this.shares, controlPoints);
    this.hash._keys = this.points.at;
  }

  /** The first `count` distinct members clockwise from the segment, or all if there are fewer. */
  homes(segment: BlockKey, count: number): string[] {
    const wanted = Math.min(count, this.members.length);
    if (wanted < 1) return [];
    const { at, owners } = this.points;
    const found = new Set<number>();
    const first = this.hash._locate(segment);
    for (let i = 0; i < at.length && found.size < wanted; i++) {
      const index = (first + i) % at.length;
      // Of members with the same point, the first one in `owners` has it.
      if (index === 0 || at[index] !== at[index - 1]) found.add(owners[index]!);
    }
    return Array.from(found, (owner) => this.members[owner]!);
  }
}

function pointCount(share: number): number {
  return Math.min(RING_POINTS_CEILING, Math.max(RING_POINTS_FLOOR, Math.round(RING_POINTS * share)));
}

/** The control points of a member, from this index up to `end`. */
function controlPoints(id: string, from: number, end: number): number[] {
  const points: number[] = [];
  for (let i = from; i < end; ) {
    const digest = Buffer.from(hash('sha256', `${id}#${Math.floor(i / POINTS_PER_HASH)}`, 'hex'), 'hex');
    for (let at = i % POINTS_PER_HASH; at < POINTS_PER_HASH && i < end; at++, i++)
      points.push(digest.readUInt32BE(4 * at) % RANGE);
  }
  return points;
}
