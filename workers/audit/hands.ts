import type { SealedBlock } from '../../src/core/block.js';
import { type Maker, sameMaker } from '../../src/core/maker.js';

/** The blocks that came to this worker from the hands of their makers. */

/** Blocks that are remembered. The oldest is forgotten first. */
const HANDED_BLOCKS = 65_536;

export class Hands {
  private readonly handed = new Set<string>();

  /** A peer has delivered a block, which has been kept. */
  delivered(block: SealedBlock, by: Maker): void {
    if (!sameMaker(block.maker, by)) return;
    if (this.handed.size >= HANDED_BLOCKS) this.handed.delete(this.handed.keys().next().value!);
    this.handed.add(nameOf(block));
  }

  /** Whether the block's maker itself delivered it, in these bytes. */
  has(block: SealedBlock): boolean {
    return this.handed.has(nameOf(block));
  }
}

function nameOf({ key, digest }: SealedBlock): string {
  return `${key} ${digest}`;
}
