import { coarseCount, coarsePart, EachMinute } from '../core/coarse.js';
import type { StoreUse } from './object-node.js';

/** The use of memory for objects by all tenants, as one of them may see it. */

/** Fewer objects than these are none. */
const LEAST_OBJECTS = 64;

export class CoarseUse {
  private readonly use = new EachMinute<StoreUse>();

  /** The use as it was first asked for within this minute. */
  at(nowMs: number, { objects, bytes, budgetBytes, evicted }: StoreUse): StoreUse {
    return this.use.at(nowMs, () => ({
      objects: coarseCount(objects, LEAST_OBJECTS),
      bytes: coarsePart(bytes, budgetBytes),
      budgetBytes,
      evicted: coarseCount(evicted, LEAST_OBJECTS),
    }));
  }
}
