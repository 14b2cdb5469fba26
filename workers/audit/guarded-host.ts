import type { BlockKey, PinnedBlock, SealedBlock } from '../../src/core/block.js';
import type { Admission } from '../../src/core/durability.js';
import type { Maker } from '../../src/core/maker.js';
import type { NoReservation, Reservation } from '../../src/core/reservation.js';
import type { BlockHost } from '../../src/peer/server/block-host.js';
import type { BlockStore } from '../cache/block-store.js';
import type { Hands } from './hands.js';
import type { Trust } from './trust.js';

/** The worker's blocks as peers see them: takes nothing that a distrusted worker made or offers. */
export class GuardedHost implements BlockHost {
  constructor(
    private readonly store: BlockStore,
    private readonly hands: Hands,
    private readonly trust: Trust,
    /** A block of this peer has been kept. */
    private readonly onKept: (peer: string, key: BlockKey) => void,
  ) {}

  pin(key: BlockKey): Promise<PinnedBlock | null> {
    return this.store.pin(key);
  }

  isShared(key: BlockKey): boolean {
    return this.store.isShared(key);
  }

  admit(block: SealedBlock, admission: Admission, from: Maker): Reservation<Uint8Array, Promise<void>> | NoReservation {
    if (!this.trust.trusts(from) || !this.trust.accepts(block)) return 'full';
    const reserved = this.store.admit(block, admission);
    if (typeof reserved === 'string') return reserved;
    const commit = async () => {
      await reserved.commit();
      this.hands.pushed(block, from);
      this.onKept(from.id, block.key);
    };
    return { ...reserved, commit };
  }
}
