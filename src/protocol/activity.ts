import { z } from 'zod';
import { FLEET_WORKERS } from '../limits.js';

/** A worker's answer about what it has done since its start. All numbers only grow; those of blocks count each copy. */

const Count = z.int().min(0);

export const WorkerActivity = z.strictObject({
  /** Blocks that came from peers and were kept: `fetched` for a request, `pushed` as a copy that the peer had to make. */
  received: z
    .array(z.strictObject({ peer: z.string().min(1).max(128), fetched: Count, pushed: Count }))
    .max(FLEET_WORKERS),
  /** Blocks that no tier has any more, because there was no room. */
  evicted: Count,
  /** Blocks that were refused because their bytes did not match their digest. */
  damaged: Count,
  /** Prefixes that were computed again and compared. */
  audits: z.strictObject({ right: Count, wrong: Count, skipped: Count }),
});
export type WorkerActivity = z.infer<typeof WorkerActivity>;
