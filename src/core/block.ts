import type { Maker } from './maker.js';
import type { SharedPlace } from './shared-place.js';

/** Blocks: their keys, digests, roles and tiers, and the form in which their bytes are pinned for readers. */

/** Names the prefix that ends with this block, in 64 lower-case hex digits: a digest, then the label of its salt. */
export type BlockKey = string;

/** Digest over all bytes of a block, as 16 lower-case hex digits. */
export type BlockDigest = string;

export interface BlockMeta {
  readonly key: BlockKey;
  /** Key of the block before it; null for the first block of a prompt. */
  readonly parent: BlockKey | null;
  /** Position in its prompt, in blocks. */
  readonly index: number;
  /** Key of the first block of its segment; places the block on the ring. */
  readonly segment: BlockKey;
}

/** A block whose bytes are final. */
export interface SealedBlock extends BlockMeta {
  readonly digest: BlockDigest;
  /** The worker that computed it, according to the worker that had it last. */
  readonly maker: Maker;
}

/** The bytes of a block, pinned: they do not change until `unpin` is called. */
export interface PinnedBlock {
  readonly block: SealedBlock;
  readonly bytes: Uint8Array;
  /** Where processes of this host can read the same bytes; null where they cannot. */
  readonly shared: SharedPlace | null;
  unpin(): void;
}

/** Why a worker keeps a block: as one of its first R workers on the ring (home), or because it computed or fetched the block (guest). */
export type BlockRole = 'home' | 'guest';

/** The tiers in which a worker may have a block, fastest first. */
export const TIER_NAMES = ['device', 'host', 'disk'] as const;
export type TierName = (typeof TIER_NAMES)[number];
