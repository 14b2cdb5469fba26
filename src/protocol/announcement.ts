import { z } from 'zod';
import type { Announcement } from '../core/member.js';
import { DAMAGING_PEERS, DEVICE_REASON_CHARS } from '../limits.js';
import { AdapterFingerprint, LOADED_ADAPTERS } from './adapter.js';

/** Schemas of the messages by which workers and coordinators announce themselves. */

const Name = z.string().min(1).max(128);
const Count = z.int().min(0);
/** Bounded so that a number above any accepted one is still a safe integer. */
const Ordinal = z
  .int()
  .min(0)
  .max(2 ** 48);
const Ranked = { generation: Ordinal, incarnation: Name, refutation: Ordinal };
const Bytes = z.strictObject({ device: Count, host: Count });
const Difference = z.number().min(0);
const Rate = z.number().gt(0).nullable();

/** A worker's announcement, on `<fleet>.announce`. */
export const AnnouncementMessage: z.ZodType<Announcement> = z.strictObject({
  id: Name,
  ...Ranked,
  state: z.enum(['starting', 'serving', 'draining']),
  pid: Count,
  host: z.string().max(256),
  device: Name,
  deviceReason: z.string().max(DEVICE_REASON_CHARS),
  contextReason: z.string().max(DEVICE_REASON_CHARS),
  trial: z
    .strictObject({
      chunk: Difference.nullable(),
      hit: Difference.nullable(),
      step: Difference,
      batch: Difference.nullable(),
    })
    .nullable(),
  address: z.strictObject({
    hostId: Name,
    unixPath: z.string().max(256).nullable(),
    tcpHost: z.string().max(256).nullable(),
    tcpPort: z.int().min(1).max(65535).nullable(),
  }),
  fingerprint: z.string().length(64),
  budget: Bytes,
  bytes: Bytes,
  blocks: Count,
  blockBytes: z.int().min(1),
  running: Count,
  waiting: Count,
  queuedTokens: Count,
  capacity: z.strictObject({
    contextTokens: z.int().min(1),
    sequences: z.int().min(1),
    waiting: Count,
  }),
  hitRate: z.number().min(0).max(1),
  rates: z.strictObject({ computeMsPerToken: Rate, decodeMsPerStep: Rate, fetchBytesPerMs: Rate }),
  computeAgeMs: z.number().min(0).nullable(),
  disk: z.enum(['none', 'answers', 'away']),
  adapters: z.array(AdapterFingerprint).max(LOADED_ADAPTERS).optional(),
  damaged: z
    .array(z.strictObject({ peer: Name, blocks: Count }))
    .max(DAMAGING_PEERS)
    .optional(),
  holdingsSeq: Count,
});

/** A worker's last message on an orderly exit, on `<fleet>.leave`, so that members need not detect its absence. */
export const LeaveMessage = z.strictObject({ id: Name, incarnation: Name });

/**
 * A member's refusal of a worker's announcements, on `<fleet>.refusal`: the refused incarnation, and the latest rank of the ID that the member
 * knows. The rank is the worker's own if the member takes the worker for dead.
 */
export const RefusalMessage = z.strictObject({ id: Name, incarnation: Name, latest: z.strictObject(Ranked) });

/** A coordinator's heartbeat, on `<fleet>.coordinator`. */
export const CoordinatorMessage = z.strictObject({ id: Name, pid: Count, host: z.string().max(256) });
export type CoordinatorMessage = z.infer<typeof CoordinatorMessage>;
