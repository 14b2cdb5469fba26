import type { BlockKey, BlockMeta, BlockRole, SealedBlock } from '../../src/core/block.js';
import type { Reservation } from '../../src/core/reservation.js';
import type { PinnedBlock } from '../../src/peer/server/block-host.js';

/** The port of a tier below the device. */

/** `demoted`: it had to make room, and a lower tier has it. `damaged`: its bytes were not any more what they had been. */
export type LeaveReason = 'evicted' | 'demoted' | 'reset' | 'damaged';

/** Is told what becomes of the blocks of a tier, after the change. */
export interface TierListener {
  landed(block: SealedBlock): void;
  left(key: BlockKey, reason: LeaveReason): void;
}

/** A pinned block of a tier. */
export type TierPin = Omit<PinnedBlock, 'bytes'> & {
  /** In place; null where the tier has them elsewhere than in memory. */
  readonly bytes: Uint8Array | null;
};

export function inMemory(pin: TierPin | null): pin is PinnedBlock {
  return pin !== null && pin.bytes !== null;
}

/** Host memory for a copy of a block; the digest may become known only by its bytes. */
export type HostReservation = Reservation<Uint8Array, void, [SealedBlock]>;

/** Whether the ring makes this worker a home of the block. */
export type RoleOf = (block: BlockMeta) => BlockRole;

/**
 * A tier below the device: keeps copies of blocks, within a hard budget in bytes. What falls out of the tier above goes here, and comes back
 * from here. It may lose a block at any time, never change one.
 */
export interface Tier {
  readonly name: 'host' | 'disk';
  readonly blocks: number;
  /** What it takes up at this moment, with what is on its way in. */
  readonly bytes: number;
  readonly budgetBytes: number;
  /** False while it would take nothing, whatever was dropped for it. */
  readonly accepts: boolean;
  /** Whether one more block could be taken without dropping another. */
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
  /** Reads the block into memory. False, with anything in that memory, if it could not be had as it was. */
  read(key: BlockKey, into: Uint8Array): Promise<boolean>;

  /** Takes a copy; `bytes` must stay as they are until then. False if it is not kept. Never rejects. */
  put(block: SealedBlock, bytes: Uint8Array): Promise<boolean>;
  /** Takes a copy if it can be had at once: `bytes` are free again afterwards. */
  take(block: SealedBlock, bytes: Uint8Array): void;

  /** Follows a change of the ring. */
  reassign(roleOf: RoleOf): void;
  /** Forgets everything; memory that is read is given back after that. Says how many blocks that were. */
  reset(): number;
  /** Resolves when nothing is on its way in or out. */
  idle(): Promise<void>;
  /** Ends it; what is on disk stays there. Nothing may be read any more. */
  close(): Promise<void>;
}
