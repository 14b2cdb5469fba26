import { hash } from 'node:crypto';
import { createRequire } from 'node:module';
import type { BlockKey } from '../core/block.js';
import { epochOf, type RingMember } from '../core/epoch.js';

/** Control points of a worker of average memory on the ring. */
const RING_POINTS = 160;
/** Control points of the smallest and of the largest worker. */
const RING_POINTS_FLOOR = 8;
const RING_POINTS_CEILING = 2560;

/** What we use of `consistent-hash`, which has no types of its own. */
interface ConsistentHash {
  add(node: string, count: number, points: readonly number[]): this;
  get(name: string, count: number): string[] | null;
}
const ConsistentHash = createRequire(import.meta.url)('consistent-hash') as new (options: {
  range: number;
}) => ConsistentHash;

/** Positions on the ring. The package hashes names to 24 bits, then shifts them by 5. */
const RANGE = 2 ** 29;
/** Points that one SHA-256 gives: 4 bytes each. */
const POINTS_PER_HASH = 8;

/**
 * Maps segments to the workers that keep them. The same in every process that has the same members, in whatever order. A member
 * without weight has no place. Where weights are equal, a member that comes or goes moves its own share and nothing else; where
 * they differ, it changes the average too, and others' points with it.
 */
export class Ring {
  readonly epoch: string;
  /** Ids of those that have a place. */
  readonly members: readonly string[];
  private readonly hash = new ConsistentHash({ range: RANGE });

  constructor(members: readonly RingMember[]) {
    this.epoch = epochOf(members);
    const placed = members.filter((member) => member.weight > 0).sort((a, b) => (a.id < b.id ? -1 : 1));
    this.members = placed.map(({ id }) => id);
    const average = placed.reduce((sum, member) => sum + member.weight, 0) / placed.length;
    // In order of id: where two members have the same point, the later takes it.
    for (const { id, weight } of placed) {
      const points = controlPoints(id, pointCount(weight / average));
      this.hash.add(id, points.length, points);
    }
  }

  /** The first `count` distinct members clockwise from the segment; fewer if there are fewer. The first of them are its homes. */
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
