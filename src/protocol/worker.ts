import { z } from 'zod';
import { ask, defineProtocol, stream, tell } from '../actors/protocol.js';
import { TIER_NAMES } from '../core/block.js';
import { SAMPLE_KEY_BYTES, SAMPLED_KEYS } from '../core/key-sample.js';
import { FAULT_SECONDS } from '../limits.js';
import { ActivityRequest, WorkerActivity } from './activity.js';
import { packed } from './bytes.js';
import { GenerateEvent, GenerateRequest } from './generate.js';
import { HOLDINGS_KEYS_PER_MESSAGE, HoldingsKeys } from './holdings.js';
import { RememberedSuspicions, SuspicionMessage } from './suspicion.js';

/** The protocols of a worker's actors. */

/** Runs sequences: one message out, one stream back. */
export const EngineProtocol = defineProtocol('engine', {
  generate: stream(GenerateRequest, GenerateEvent),
});

const Empty = z.strictObject({});

/** `cut-off`: the bus and all connections to peers are away. `corrupt`: blocks go to peers with a wrong byte. */
const WorkerFault = z.enum(['cut-off', 'corrupt']);
export type WorkerFault = z.infer<typeof WorkerFault>;

/** Labels that a purge names: whole ones of salts, or the halves that name owners. */
export const PurgeLabels = z.array(z.string().regex(/^(?:[0-9a-f]{8}){1,2}$/)).max(16);

/** An owner of salts or a salt, whose objects a purge drops. */
export const PurgedGroup = z.strictObject({
  by: z.enum(['owner', 'salt']),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
});

/** `before`: objects of this version time and later stay, since they were written after the purge; null: all that the worker has. */
export const PurgedObjects = PurgedGroup.extend({ before: z.int().min(0).nullable() });
export type PurgedObjects = z.infer<typeof PurgedObjects>;

/** Counts of a worker's dropped copies by tier, and of dropped blocks, each once. `replicas` are the blocks that have another worker as first home. `values` and `responses` are copies of values of clients, and of stored answers. */
export const PurgeCounts = z.strictObject({
  device: z.int().min(0),
  host: z.int().min(0),
  disk: z.int().min(0),
  blocks: z.int().min(0),
  replicas: z.int().min(0),
  values: z.int().min(0).default(0),
  responses: z.int().min(0).default(0),
  /** False if a tier does not answer: its blocks are still there. */
  complete: z.boolean(),
});
export type PurgeCounts = z.infer<typeof PurgeCounts>;

/**
 * `beyond` are dropped descendants of the requested blocks, which other workers may have further descendants of. `before` is the version time before
 * which the worker dropped objects; 0 if it dropped none. `sample` is of the keys of the dropped blocks, so that copies on several workers are counted
 * once; earlier versions did not have it.
 */
const PurgeAnswer = PurgeCounts.extend({
  beyond: HoldingsKeys,
  before: z.int().min(0).default(0),
  sample: packed(SAMPLE_KEY_BYTES, SAMPLED_KEYS).default(new Uint8Array()),
});
export type PurgeAnswer = z.infer<typeof PurgeAnswer>;

/** Owns a worker's blocks. */
export const ShardProtocol = defineProtocol('shard', {
  /** A snapshot of all keys, in pages. Each page has the sequence number of the last delta it includes. */
  holdings: stream(Empty, z.strictObject({ seq: z.int().min(0), keys: HoldingsKeys, last: z.boolean() })),
  /** For each key, the fastest tier that has the block; null if none does. */
  tiers: ask(
    z.strictObject({ keys: HoldingsKeys }),
    z.strictObject({ tiers: z.array(z.enum(TIER_NAMES).nullable()).max(HOLDINGS_KEYS_PER_MESSAGE) }),
  ),
  /** A block and those before it, the latest first, as far as the worker has them. `parent` is the key before them; none if the first block of the prompt is among them. */
  chain: ask(z.strictObject({ key: HoldingsKeys }), z.strictObject({ keys: HoldingsKeys, parent: HoldingsKeys })),
  /**
   * Sets the blocks that the worker never evicts. It obeys the highest fencing number that it has seen, and answers a lower one with that number.
   * `missing` are the keys of blocks that it cannot give to others.
   */
  retain: ask(
    z.strictObject({ fence: z.int().min(1), keys: HoldingsKeys }),
    z.discriminatedUnion('type', [
      z.strictObject({ type: z.literal('retained'), missing: HoldingsKeys }),
      z.strictObject({ type: z.literal('fenced'), fence: z.int().min(1) }),
    ]),
  ),
  /** Drops the blocks that have one of these labels or keys, and all that stand on them; and objects. */
  purge: ask(
    z.strictObject({ labels: PurgeLabels, keys: HoldingsKeys, objects: PurgedObjects.optional() }),
    PurgeAnswer,
  ),
  /** Drops all blocks. Memory that is being read is freed when its last reader is done. */
  reset: ask(Empty, z.strictObject({ dropped: z.int().min(0) })),
});

/** Controls a worker's lifecycle. */
export const WorkerProtocol = defineProtocol('worker', {
  /** Starts to drain: accept nothing new, finish running requests, hand the blocks to their next homes. Answers once draining has begun. */
  drain: ask(Empty, Empty),
  /** Serves again after `drain`. Without effect on a worker that serves. Throws `Refused` if the worker is stopping or still starts. */
  undrain: ask(Empty, Empty),
  /**
   * Has a fault for some seconds, so that people can watch the fleet heal. Begins shortly after the answer. Throws `Refused` where `--allow-chaos` is
   * off, and if the worker has the fault already.
   */
  disturb: ask(z.strictObject({ fault: WorkerFault, seconds: z.int().min(1).max(FAULT_SECONDS) }), Empty),
  /** Sends announcements, holdings and the leave to the calling coordinator directly too, for this time. */
  follow: tell(
    z.strictObject({
      forMs: z.int().min(1).max(60_000),
      /** The epoch of the coordinator, if the worker is to pass on the announcements of the others where its own epoch differs. */
      epoch: z.string().max(64).nullable(),
    }),
  ),
  /** Passes a coordinator's evidence against prompts on to the other coordinators, and remembers it. */
  suspicion: tell(SuspicionMessage),
  /** What the worker has done since its start. */
  activity: ask(ActivityRequest, WorkerActivity),
  /** The evidence that the worker remembers. */
  suspicions: ask(Empty, RememberedSuspicions),
});
