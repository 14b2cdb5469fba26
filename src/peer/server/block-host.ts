import type { BlockKey, PinnedBlock, SealedBlock } from '../../core/block.js';
import type { Admission } from '../../core/durability.js';
import type { Maker } from '../../core/maker.js';
import type { NoReservation, Reservation } from '../../core/reservation.js';

/** What the peer server needs of the worker's cache: to pin blocks that peers read, and to take blocks that peers push. */
export interface BlockHost {
  /** Pins a block; null if it is not here. */
  pin(key: BlockKey): Promise<PinnedBlock | null>;
  /** Whether a block is here in memory that processes of this host can read: then `pin` says where. */
  isShared(key: BlockKey): boolean;
  /**
   * Reserves memory for a block that a peer wants to push here, to be committed once its digest agrees. 'present' only if the block is here and can
   * be given to others: a block on its way here may still not come.
   * @param from the peer, as it has proved itself
   */
  admit(block: SealedBlock, admission: Admission, from: Maker): Reservation<Uint8Array, Promise<void>> | NoReservation;
}
