import { z } from 'zod';
import { ask, defineProtocol, stream } from '../actors/protocol.js';
import { TIER_NAMES } from '../core/block.js';
import { GenerateEvent, GenerateRequest } from './generate.js';
import { HOLDINGS_KEYS_PER_MESSAGE, HoldingsKeys } from './holdings.js';

/** Runs sequences. One message out, one stream back. */
export const EngineProtocol = defineProtocol('engine', {
  generate: stream(GenerateRequest, GenerateEvent),
});

const Empty = z.strictObject({});

/** Holds a worker's blocks. */
export const ShardProtocol = defineProtocol('shard', {
  /** Keys of all blocks, in pages, each with the sequence number of the last delta that it includes. */
  holdings: stream(Empty, z.strictObject({ seq: z.int().min(0), keys: HoldingsKeys, last: z.boolean() })),
  /** Of each key the fastest tier that has the block, null where none has. */
  tiers: ask(
    z.strictObject({ keys: HoldingsKeys }),
    z.strictObject({ tiers: z.array(z.enum(TIER_NAMES).nullable()).max(HOLDINGS_KEYS_PER_MESSAGE) }),
  ),
  /** Drops every block that nothing reads. */
  reset: ask(Empty, z.strictObject({ dropped: z.int().min(0) })),
});

/** Rules a worker's life. */
export const WorkerProtocol = defineProtocol('worker', {
  /** Takes nothing new, finishes what runs, hands its blocks to their next homes. Answers when that has begun. */
  drain: ask(Empty, Empty),
});
