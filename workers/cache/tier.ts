import type { BlockKey, BlockMeta, BlockRole, PinnedBlock, SealedBlock } from '../../src/core/block.js';
import { type Reservation, reservation } from '../../src/core/reservation.js';

/** The port of a tier below the device. */

/**
 * Why a block left a tier. `demoted`: it was evicted, and a lower tier has it. `damaged`: its bytes no longer match its digest.
 * `wrong`: it is not the K/V of its prompt, or was computed on top of such a block. `purged`: a client wants it gone.
 */
export type LeaveReason = 'evicted' | 'demoted' | 'reset' | 'damaged' | DropReason;
/** Why one block is dropped. */
export type DropReason = 'wrong' | 'purged';

/** Hears of each block that a tier takes or drops, after the change. */
export interface TierListener {
  landed(block: SealedBlock): void;
  left(key: BlockKey, reason: LeaveReason): void;
}

/** A pinned block of a tier. */
export type TierPin = Omit<PinnedBlock, 'bytes'> & {
  /** In place; null where the tier does not keep its blocks in memory. */
  readonly bytes: Uint8Array | null;
};

export function inMemory(pin: TierPin | null): pin is PinnedBlock {
  return pin !== null && pin.bytes !== null;
}

/** Host memory for a copy of a block. Its commit takes the digest, which may be known only from the bytes. */
export type HostReservation = Reservation<Uint8Array, void, [SealedBlock]>;

/** Whether the ring makes this worker a home of the block. */
export type RoleOf = (block: BlockMeta) => BlockRole;

/**
 * A tier below the device: keeps copies of blocks within a hard budget in bytes. Blocks that the tier above evicts go here, and are promoted from
 * here. A tier may lose a block at any time, never change one.
 */
export interface Tier {
  readonly name: 'host' | 'disk';
  readonly blocks: number;
  /** Memory in use now, including incoming blocks. */
  readonly bytes: number;
  readonly budgetBytes: number;
  /** False while the tier would take no block, even after evictions. */
  readonly accepts: boolean;
  /** False while no block can be read. */
  readonly answers: boolean;
  /** Whether the tier could take one more block without an eviction. */
  readonly hasRoom: boolean;

  /** One listener. */
  listen(listener: TierListener): void;
  has(key: BlockKey): boolean;
  sealed(key: BlockKey): SealedBlock | null;
  keys(): IterableIterator<BlockKey>;

  /** Counts a use of the block, if it is here. */
  touch(key: BlockKey): void;
  /** Keeps the block from being evicted, and its bytes as they are, until `unpin`; null where it is not here. Counts no use. */
  pin(key: BlockKey): TierPin | null;
  /** Copies the block's bytes. False, with undefined bytes in `into`, if the block is not here or is damaged. */
  read(key: BlockKey, into: Uint8Array): Promise<boolean>;

  /** Takes a copy; `bytes` must not change until the promise resolves: false if the copy is not kept. Never rejects. */
  put(block: SealedBlock, bytes: Uint8Array): Promise<boolean>;
  /** Takes a copy if that is possible at once; `bytes` may be reused after the call. */
  take(block: SealedBlock, bytes: Uint8Array): void;

  /** Never evicts the blocks with these keys, those to come included, until the next call. */
  retain(keys: ReadonlySet<BlockKey>): void;
  /** Gives each block the role that the changed ring has for it. */
  reassign(roleOf: RoleOf): void;
  /** Drops one block; pinned memory is freed at the last unpin. */
  drop(key: BlockKey, reason: DropReason): void;
  /** Drops all blocks; pinned memory is freed at the last unpin. Returns how many were dropped. */
  reset(): number;
  /** Resolves when no block is in transit to or from the tier. */
  idle(): Promise<void>;
  /** Ends the tier; files stay. No block may be pinned. */
  close(): Promise<void>;
}

/** A reservation of memory whose bytes a lower tier keeps in any case. */
export function keptElsewhere(key: BlockKey, memory: Uint8Array): HostReservation {
  return reservation(key, memory, { commit: (_: SealedBlock) => {}, abort: () => {} });
}
