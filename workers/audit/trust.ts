import type { SealedBlock } from '../../src/core/block.js';
import type { Maker } from '../../src/core/maker.js';

/** Whom and what a worker takes blocks from. */
export interface Trust {
  /** Whether blocks may be asked of this process, and its offers heard. */
  trusts(worker: Maker): boolean;
  /** Whether a block may be kept: its maker is trusted, and nobody has found it wrong. */
  accepts(block: SealedBlock): boolean;
}
