import type { BlockKey, BlockMeta, BlockRole, LentBlock, SealedBlock } from '../../src/core/block.js';

/** `demoted`: it had to make room, and a lower tier has it. `damaged`: its bytes were not any more what they had been. */
export type LeaveReason = 'evicted' | 'demoted' | 'reset' | 'damaged';

/** Is told what becomes of the blocks of a tier, after the change. */
export interface TierListener {
  landed(block: SealedBlock): void;
  left(key: BlockKey, reason: LeaveReason): void;
}

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

  /** The block's bytes in place, until `release`; null where it is not here, or its bytes are not in memory. */
  view(key: BlockKey): LentBlock | null;
  /** Keeps the block from being dropped to make room, until the function that it gives is called; null where it is not here. */
  pin(key: BlockKey): (() => void) | null;
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
