import type { BlockMeta } from '../core/block.js';
import type { Reservation } from '../core/reservation.js';
import type { DeviceBlock } from '../device/device.js';
import type { Span } from '../trace/span.js';

/** The port through which the engine loads cached prefixes and offers computed blocks. It hides peers, tiers and the ring. */
export interface PrefixCache {
  /**
   * Loads as much of the prefix into device memory as is faster than computing it, and waits for blocks that another sequence of this
   * worker is computing. May take long: the sequence has no slot yet. Rejects only if `signal` aborts; blocks that cannot be loaded are
   * computed.
   */
  prepare(prefix: PrefixRequest, signal: AbortSignal): Promise<PreparedPrefix>;

  /**
   * Reserves the memory for one newly computed block. Null if the block is there already, or there is no room: then it is not kept.
   * `commit` takes the digest, lets others use the block, and sends it to its homes.
   * @param trace the `traceparent` under which the copies are recorded; null for none
   */
  reserve(block: BlockMeta, trace?: string | null): Reservation<DeviceBlock> | null;
}

export interface PrefixRequest {
  readonly requestId: string;
  /** The full blocks of the prompt, in order, without one that would leave no token to compute. */
  readonly blocks: readonly BlockMeta[];
  /** Workers that are said to have blocks, most promising first. A hint: a wrong one costs time, never correctness. */
  readonly sources: readonly PrefixSource[];
  /** Gets the fetches. Default: nothing is recorded. */
  readonly span?: Span;
}

/** @internal exported for tests. */
export interface PrefixSource {
  readonly worker: string;
  /** The worker is said to have blocks `[0, blocks)` of the prompt. */
  readonly blocks: number;
}

export interface PreparedPrefix {
  /** Blocks in order from the first, pinned until `unpin`. */
  readonly blocks: readonly DeviceBlock[];
  /** How many of the blocks this worker has used before, and how many were computed by a peer and are used here for the first time. */
  readonly localBlocks: number;
  readonly remoteBlocks: number;
  /**
   * Announces that this sequence computes the remaining blocks, so that other sequences wait for them. False if another sequence has
   * claimed one of them since `prepare`: unpin and prepare again.
   */
  claim(): boolean;
  /** Unpins the blocks, once they are copied into the slot or no longer needed. Idempotent. */
  unpin(): void;
  /** Withdraws the claim on blocks that were not computed, once the prefill has ended in any way. Idempotent. */
  settle(): void;
}
