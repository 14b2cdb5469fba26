import { z } from 'zod';
import type { BlockKey } from '../../src/core/block.js';
import { KEY_BYTES, packKeys, unpackKeys } from '../../src/core/key.js';
import { countSampled, type KeyCount, SAMPLE_KEY_BYTES, SAMPLED_KEYS } from '../../src/core/key-sample.js';
import { versionTime } from '../../src/objects/version.js';
import { packed } from '../../src/protocol/bytes.js';
import { HOLDINGS_KEYS_PER_MESSAGE } from '../../src/protocol/holdings.js';
import { PurgeCounts, PurgedObjects, PurgeLabels } from '../../src/protocol/worker.js';

/** A purge: a client's order that the fleet drops what it keeps, and what has become of it. */

/** Limit on the purges of a fleet that are remembered. */
export const PURGES = 64;
/** Incomplete purges that tenants leave to operators, who may have to erase while workers are away. */
export const PURGES_FOR_OPERATORS = PURGES / 8;
/** Limit on the incomplete ones of one tenant. */
export const INCOMPLETE_PURGES_PER_OWNER = PURGES / 4;
/** Limit on the workers of a receipt. */
const PURGE_WORKERS = 1_024;
/** Limit on the keys of a purge beyond which no further ones are remembered, for workers that come back. */
const REMEMBERED_KEYS = 4_096;
/** A purge is kept for this time: workers that come back within it carry it out then. */
export const PURGE_KEPT_MS = 30 * 24 * 3_600_000;

const Name = z.string().min(1).max(128);

const PurgeRow = z.strictObject({
  worker: Name,
  /** The process that was asked last. */
  incarnation: Name,
  state: z.enum(['done', 'unreachable']),
  /** The sum of what its processes dropped. */
  counts: PurgeCounts,
});
export type PurgeRow = z.infer<typeof PurgeRow>;

export const Purge = z.strictObject({
  id: Name,
  /** The tenant that ordered it; null if no key was required. */
  owner: z.string().max(128).nullable(),
  what: z.enum(['tenant', 'salt', 'prompt', 'share']),
  labels: PurgeLabels,
  keys: packed(KEY_BYTES, HOLDINGS_KEYS_PER_MESSAGE),
  /** In milliseconds since 1970. */
  createdMs: z.number(),
  /** Pins that it ended. */
  pins: z.int().min(0),
  /** The objects that it drops; null for none. `before` is known once workers have answered. */
  objects: PurgedObjects.nullable().default(null),
  /** Answers for retries that coordinators forgot. */
  answers: z.int().min(0).default(0),
  /** A sample of the keys of all blocks that were dropped. */
  sample: packed(SAMPLE_KEY_BYTES, SAMPLED_KEYS).default(new Uint8Array()),
  /** Blocks of answers without a sample, from workers of earlier versions. */
  unsampled: z.int().min(0).default(0),
  rows: z.array(PurgeRow).max(PURGE_WORKERS),
});
export type Purge = z.infer<typeof Purge>;

export const PurgeList = z.strictObject({
  purges: z
    .array(
      z.strictObject({
        id: Name,
        /** As in `Purge`. Earlier versions did not list it. */
        owner: z.string().max(128).nullable().default(null),
        createdMs: z.number(),
        complete: z.boolean(),
      }),
    )
    .max(PURGES),
});
export type PurgeList = z.infer<typeof PurgeList>;

export const NOTHING_DROPPED: PurgeCounts = {
  ...{ device: 0, host: 0, disk: 0, blocks: 0, replicas: 0, values: 0, responses: 0 },
  complete: true,
};

/** Whether every worker that is known to have had blocks has done it. */
export function isComplete({ rows }: Pick<Purge, 'rows'>): boolean {
  return rows.every(({ state }) => state === 'done');
}

/** Whether this process of a worker still has to do it. */
export function concerns(purge: Pick<Purge, 'rows'>, worker: string, incarnation: string): boolean {
  const row = purge.rows.find((each) => each.worker === worker);
  if (row === undefined || row.state !== 'done') return true;
  // A process that starts while others are away may have taken over the folder of one of them.
  return row.incarnation !== incarnation && !isComplete(purge);
}

/** The rows with a worker's answer; null for no answer. Counts of earlier answers are added. */
export function withAnswer(
  rows: readonly PurgeRow[],
  { worker, incarnation }: Pick<PurgeRow, 'worker' | 'incarnation'>,
  answer: PurgeCounts | null,
): PurgeRow[] {
  const before = rows.find((each) => each.worker === worker);
  if (answer === null && before?.state === 'done') return [...rows];
  const counts = sum(before?.counts ?? NOTHING_DROPPED, answer ?? NOTHING_DROPPED);
  const row: PurgeRow = { worker, incarnation, state: answer?.complete ? 'done' : 'unreachable', counts };
  const rest = rows.filter((each) => each.worker !== worker);
  return rest.length >= PURGE_WORKERS ? [...rows] : [...rest, row];
}

/** The keys of a purge, with the keys of descendants that workers reported. */
export function withKeys(keys: Uint8Array, beyond: ReadonlySet<BlockKey>): Uint8Array {
  const known = unpackKeys(keys);
  if (beyond.size === 0 || known.length >= REMEMBERED_KEYS) return keys;
  return packKeys([...new Set([...known, ...beyond])].slice(0, REMEMBERED_KEYS));
}

/**
 * The objects of a purge, once more workers have dropped those before the times `answered`. Objects written after all of them stay, even if
 * workers that were away, or that got objects from those, are asked later.
 */
export function withCutOff({ objects, createdMs }: Pick<Purge, 'objects' | 'createdMs'>, answered: readonly number[]) {
  return objects && { ...objects, before: Math.max(objects.before ?? versionTime(createdMs), ...answered) };
}

/** The dropped blocks, each counted once, however many workers had it. Not exact for very many, nor with workers of earlier versions. */
export function distinctBlocks({ sample, unsampled }: Pick<Purge, 'sample' | 'unsampled'>): KeyCount {
  const { keys, exact } = countSampled(sample);
  return { keys: keys + unsampled, exact: exact && unsampled === 0 };
}

export function sum(a: PurgeCounts, b: PurgeCounts): PurgeCounts {
  return {
    device: a.device + b.device,
    host: a.host + b.host,
    disk: a.disk + b.disk,
    blocks: a.blocks + b.blocks,
    replicas: a.replicas + b.replicas,
    values: a.values + b.values,
    responses: a.responses + b.responses,
    complete: b.complete,
  };
}
