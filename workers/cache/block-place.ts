import type { SealedBlock } from '../../src/core/block.js';
import type { BlockOrigin } from '../announced.js';

/** Memory for a block whose bytes are still to come. Either `commit` or `abandon` must follow. */
export interface BlockPlace {
  /** To be filled. */
  readonly into: Uint8Array;
  /** Resolves when the block is on the device. Rejects where the device does not take it. */
  commit(sealed: SealedBlock, origin: BlockOrigin): Promise<void>;
  abandon(): void;
}
