import type { BlockMeta, BlockRole } from './block.js';
import { type HomesOf, roleOf } from './replication.js';

/** How hard a fleet tries to keep R copies of each block, and what follows from it. */

/**
 * `pooled`: while memory is short, the fleet prefers distinct blocks, and a copy that has no room is not made. `strict`: a home evicts other blocks
 * for a new copy.
 */
export const DURABILITIES = ['pooled', 'strict'] as const;
export type Durability = (typeof DURABILITIES)[number];

/** Whether other blocks may be evicted for a copy that a worker offers to another: `spare` takes memory that is free, and no more. */
export type Admission = 'evict' | 'spare';

/**
 * The admission of the copies that a worker offers to their homes.
 * @param hasPlace whether the worker has a place on the ring: one that has none hands over what may be the last copies
 */
export function admissionOf(durability: Durability, hasPlace: boolean): Admission {
  return durability === 'pooled' && hasPlace ? 'spare' : 'evict';
}

/** The role in which a worker keeps a block. In a pooled fleet no copy is a duty: its worth alone decides how long it stays. */
export function roleUnder(durability: Durability, block: BlockMeta, self: string, homesOf: HomesOf): BlockRole {
  return durability === 'strict' ? roleOf(block, self, homesOf) : 'guest';
}
