import type { BlockMeta } from '../core/block.js';
import type { Reservation } from '../core/reservation.js';
import type { DeviceBlock } from '../device/device.js';

/**
 * What the engine needs of the cache. The engine knows neither peers nor the ring: it asks for the longest prefix that can be
 * had, and offers what it computed.
 */
export interface PrefixCache {
  /**
   * Brings as much of the prefix into this device as is worth it, and waits for blocks that another sequence of this worker is
   * computing at the moment. Called before a slot is taken, so that it may take its time. Never rejects but for `signal`:
   * what cannot be had is computed.
   */
  prepare(prefix: PrefixRequest, signal: AbortSignal): Promise<PreparedPrefix>;

  /**
   * Reserves the memory for one newly computed block. Null if the block is there already, or there is no room: then it is not kept.
   * `commit` takes the digest, lets others use the block, and sends it to its homes.
   */
  reserve(block: BlockMeta): Reservation<DeviceBlock> | null;
}

export interface PrefixRequest {
  readonly requestId: string;
  /** Keys of the full blocks of the prompt, in order; at most so many that one token is left to compute. */
  readonly blocks: readonly BlockMeta[];
  /** Who is said to hold blocks, most promising first. A hint: it costs time if wrong, never truth. */
  readonly sources: readonly PrefixSource[];
}

/** @internal exported for tests. */
export interface PrefixSource {
  readonly worker: string;
  /** Blocks `[0, blocks)` of the prompt are said to be there. */
  readonly blocks: number;
}

export interface PreparedPrefix {
  /** Blocks in order from the first, pinned until `unpin`. */
  readonly blocks: readonly DeviceBlock[];
  /** How many of them this worker had used before, and how many a peer computed that are used here for the first time (fetched now, or pushed earlier). */
  readonly localBlocks: number;
  readonly remoteBlocks: number;
  /**
   * Says that the rest is going to be computed here, so that others wait for it. False if somebody else has begun a part of it since
   * `prepare`: unpin and prepare again.
   */
  claim(): boolean;
  /** Unpins the blocks. Call when they are copied into the slot, or not wanted. Idempotent. */
  unpin(): void;
  /** Withdraws the claim on what was not sealed. Call when the prefill is over, in whatever way. Idempotent. */
  settle(): void;
}
