import type { BlockKey, LentBlock, SealedBlock } from '../../core/block.js';

/** What the peer server needs of the worker's cache: to lend blocks to others, and to take what is pushed. */
export interface BlockHost {
  /** Lends a block; null if it is not here. Its memory stays as it is until `release` is called. */
  lend(key: BlockKey): Promise<LentBlock | null>;
  /** Whether a block is here in memory that processes of this host can read: then `lend` says where. */
  isShared(key: BlockKey): boolean;
  /** Takes a place for a block that a peer wants to push here. */
  admit(block: SealedBlock): Admission;
}

export type Admission =
  /** `into` is to be filled; `commit` once its digest agrees, else `abort`. */
  | { readonly kind: 'accepted'; readonly into: Uint8Array; commit(): Promise<void>; abort(): void }
  /** It is here already. */
  | { readonly kind: 'held' }
  /** There is no room, or it is on its way here and may still not come. */
  | { readonly kind: 'full' };
