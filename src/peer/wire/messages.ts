import { z } from 'zod';
import { isSummaryLength, SUMMARY_BUCKETS } from '../../core/anti-entropy.js';
import type { BlockKey, SealedBlock } from '../../core/block.js';
import { KEY_BYTES, packKeys, unpackKeys } from '../../core/key.js';
import { PEER_KEYS_PER_REQUEST, PEER_OFFER_BLOCKS } from '../../limits.js';
import { TRACEPARENT_CHARS } from '../../trace/traceparent.js';
import {
  PACKED_BLOCK_BYTES,
  packBlocks,
  packSharedBlocks,
  type SharedBlock,
  unpackBlock,
  unpackBlocks,
  unpackSharedBlocks,
} from './block-headers.js';
import {
  AnyBytes,
  Bytes,
  Direction,
  Empty,
  ERROR,
  Failure,
  type Kind,
  kind,
  type MessageOf,
} from './message-format.js';

/** The messages of a connection for blocks, one union a direction. `docs/PEER-PROTOCOL.md` says in which order they come. */

/** Limit on the name of a ring in a header. */
const EPOCH_CHARS = 64;

/** 1 to `most` items of `unit` bytes, one after another. */
const Run = (unit: number, most: number) =>
  AnyBytes.refine(
    ({ byteLength }) => byteLength > 0 && byteLength % unit === 0 && byteLength <= unit * most,
    `must be 1 to ${most} times ${unit} bytes`,
  );

const Key = Bytes(KEY_BYTES).transform((bytes): BlockKey => unpackKeys(bytes)[0]!);
const Keys = Run(KEY_BYTES, PEER_KEYS_PER_REQUEST).transform(unpackKeys);
const Blocks = Run(PACKED_BLOCK_BYTES, PEER_OFFER_BLOCKS).transform(unpackBlocks);
const Summary = AnyBytes.refine(
  ({ byteLength }) => isSummaryLength(byteLength),
  `must be 1 to ${SUMMARY_BUCKETS} digests; a power of two`,
);
const Index = z.int().min(0);
const Buckets = z.array(Index.max(SUMMARY_BUCKETS - 1)).max(SUMMARY_BUCKETS);
/** A `traceparent`; absent in requests that belong to no trace. */
const Trace = z.string().length(TRACEPARENT_CHARS).optional();
const Indexes = z.array(Index.max(PEER_OFFER_BLOCKS - 1)).max(PEER_OFFER_BLOCKS);

interface Asked {
  readonly keys: readonly BlockKey[];
  readonly trace?: string | undefined;
}

function packAsked({ keys, trace }: Asked): object {
  return { keys: packKeys(keys), ...(trace === undefined ? {} : { trace }) };
}

const CLIENT = {
  fetch: kind(16, z.strictObject({ keys: Keys, trace: Trace }), packAsked),
  cancel: kind(17, Empty),
  offer: kind(18, z.strictObject({ blocks: Blocks }), ({ blocks }) => ({ blocks: packBlocks(blocks) })),
  put: kind(19, z.strictObject({ index: Index })),
  ping: kind(20, Empty),
  pin: kind(21, z.strictObject({ keys: Keys, trace: Trace }), packAsked),
  unpin: kind(22, Empty),
  compare: kind(23, z.strictObject({ epoch: z.string().max(EPOCH_CHARS), digests: Summary })),
  repair: kind(24, z.strictObject({ blocks: Blocks }), ({ blocks }) => ({ blocks: packBlocks(blocks) })),
};

/** Two headers are not maps. One is sent for each block, and reading a map would cost as much as all the other work for the block. */
const BLOCK: Kind<{ block: SealedBlock }> = {
  code: 32,
  pack: ({ block }) => packBlocks([block]),
  read: (header) => ({ block: unpackBlock(header) }),
};

const PINNED: Kind<{ blocks: SharedBlock[] }> = {
  code: 39,
  pack: ({ blocks }) => packSharedBlocks(blocks),
  read: (header) => ({ blocks: unpackSharedBlocks(header) }),
};

const SERVER = {
  block: BLOCK,
  missing: kind(33, z.strictObject({ key: Key }), ({ key }) => ({ key: packKeys([key]) })),
  done: kind(34, Empty),
  wanted: kind(35, z.strictObject({ wanted: Indexes, held: Indexes })),
  stored: kind(36, z.strictObject({ index: Index, error: Failure.nullable() })),
  pong: kind(37, Empty),
  error: ERROR,
  pinned: PINNED,
  unshared: kind(40, Empty),
  compared: kind(41, z.strictObject({ differing: Buckets.nullable() })),
};

export type ClientMessage = MessageOf<typeof CLIENT>;
export type ServerMessage = MessageOf<typeof SERVER>;

export const fromClient = new Direction<ClientMessage>(CLIENT);
export const fromServer = new Direction<ServerMessage>(SERVER);
