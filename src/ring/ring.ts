import { hash } from 'node:crypto';
import { createRequire } from 'node:module';
import type { BlockKey } from '../core/block.js';
import { epochOf, type RingMember } from '../core/epoch.js';

/** The ring that places segments on workers, by consistent hashing; the only file that imports consistent-hash. */

/** Control points on the ring of a worker of average memory. */
const RING_POINTS = 160;
/** Control points of the smallest and of the largest worker. */
const RING_POINTS_FLOOR = 8;
const RING_POINTS_CEILING = 2560;

/** The part of `consistent-hash` that is used here; the package has no types. */
interface ConsistentHash {
  add(node: string, count: number, points: readonly number[]): this;
  get(name: string, count: number): string[] | null;
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
  private readonly hash = new ConsistentHash({ range: RANGE });

  constructor(members: readonly RingMember[]) {
    this.epoch = epochOf(members);
    const placed = members.filter((member) => member.weight > 0).sort((a, b) => (a.id < b.id ? -1 : 1));
    this.members = placed.map(({ id }) => id);
    const average = placed.reduce((sum, member) => sum + member.weight, 0) / placed.length;
    // In order of id, so that all processes agree: of two members with the same point, the later one gets it.
    for (const { id, weight } of placed) {
      const points = controlPoints(id, pointCount(weight / average));
      this.hash.add(id, points.length, points);
    }
  }

  /** The first `count` distinct members clockwise from the segment, or all if there are fewer. */
  homes(segment: BlockKey, count: number): string[] {
    const { length } = this.members;
    if (length === 0 || count < 1) return [];
    return this.hash.get(segment, Math.min(count, length)) ?? [];
  }
}

function pointCount(share: number): number {
  return Math.min(RING_POINTS_CEILING, Math.max(RING_POINTS_FLOOR, Math.round(RING_POINTS * share)));
}

function controlPoints(id: string, count: number): number[] {
  const points: number[] = [];
  for (let i = 0; points.length < count; i++) {
    const digest = Buffer.from(hash('sha256', `${id}#${i}`, 'hex'), 'hex');
    for (let at = 0; at < POINTS_PER_HASH && points.length < count; at++)
      points.push(digest.readUInt32BE(4 * at) % RANGE);
  }
  return points;
}
