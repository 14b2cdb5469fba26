import type { SealedBlock } from '../../src/core/block.js';
import type { Maker } from '../../src/core/maker.js';

/** The processes and makers from which a worker accepts blocks. */
export interface Trust {
  /** Whether blocks may be asked of this process, and its offers heard. */
  trusts(worker: Maker): boolean;
  /** Whether a block may be kept: its maker is trusted, it was not found wrong, and this worker really made it if it says so. */
  accepts(block: SealedBlock): boolean;
}
