import { z } from 'zod';
import { FLEET_WORKERS } from '../limits.js';

/** A worker's answer about what it has done since its start. All counts only grow; those of blocks count each copy. */

const Count = z.int().min(0);
const Name = z.string().min(1).max(128);

/** Requests of which one answer tells what they found; the latest. */
export const FOUND_REQUESTS = 256;
/** Peers of one such request; those that gave most. */
export const FOUND_SOURCES = 16;

/** What a request found that was not in device memory already. In blocks. */
const FoundPrefix = z.strictObject({
  requestId: z.string().max(128),
  /** Brought from lower tiers of this worker. */
  host: Count,
  disk: Count,
  /** From peers: fetched, or sent by them as copies before, of which there are `pushed`. */
  from: z.array(z.strictObject({ peer: Name, blocks: Count, pushed: Count })).max(FOUND_SOURCES),
});
export type FoundPrefix = z.infer<typeof FoundPrefix>;

/** Asks for the requests after the one with the number `since`, which an earlier answer has given. */
export const ActivityRequest = z.strictObject({ since: Count });

export const WorkerActivity = z.strictObject({
  /** Blocks that came from peers and were kept: `fetched` for a request, `pushed` as a copy that the peer had to make. */
  received: z.array(z.strictObject({ peer: Name, fetched: Count, pushed: Count })).max(FLEET_WORKERS),
  /** Blocks that no tier has any more, because there was no room. */
  evicted: Count,
  /** Blocks that were refused because their bytes did not match their digest. */
  damaged: Count,
  /** Prefixes that were computed again and compared. */
  audits: z.strictObject({ right: Count, wrong: Count, skipped: Count }),
  /** Number of the last request of which it has told. */
  seq: Count,
  /** Oldest first. */
  found: z.array(FoundPrefix).max(FOUND_REQUESTS),
});
export type WorkerActivity = z.infer<typeof WorkerActivity>;
