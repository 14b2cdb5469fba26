import type { SealedBlock } from '../../src/core/block.js';
import { type Maker, makerName, sameMaker } from '../../src/core/maker.js';
import type { Roster } from '../../src/fleet/roster.js';
import type { BlockStore } from '../cache/block-store.js';

/** Whose hands the blocks of this worker came from. A block names its maker, but only the maker's own hands prove it. */

/** Blocks that are remembered. The oldest is forgotten first. */
const HANDED_BLOCKS = 65_536;

export class Hands {
  /** By key and digest of a block, the process that brought it, and whether that is proved to be its maker. */
  private readonly bringers = new Map<string, { readonly by: string; readonly isMaker: boolean }>();

  constructor(private readonly isWorker: (id: string) => boolean) {}

  /** This worker has kept a block that it fetched at the peer's own address, or has computed itself. */
  fetched(block: SealedBlock, by: Maker): void {
    this.remember(block, by, sameMaker(block.maker, by));
  }

  /**
   * A peer has pushed a block, which has been kept. It has dialled, and may have taken the name of another: all members know the secret by which it
   * proved itself. A worker can be asked for its blocks at its address; a coordinator keeps none, and must be taken at its word.
   */
  pushed(block: SealedBlock, by: Maker): void {
    this.remember(block, by, sameMaker(block.maker, by) && !this.isWorker(by.id));
  }

  /** Whether the block's maker itself gave it, in these bytes. */
  has(block: SealedBlock): boolean {
    return this.bringers.get(nameOf(block))?.isMaker ?? false;
  }

  /** The process that brought a block in these bytes; null if that is forgotten. */
  bringerOf(block: SealedBlock): string | null {
    return this.bringers.get(nameOf(block))?.by ?? null;
  }

  private remember(block: SealedBlock, by: Maker, isMaker: boolean): void {
    const name = nameOf(block);
    if (this.bringers.get(name)?.isMaker) return;
    if (this.bringers.size >= HANDED_BLOCKS) this.bringers.delete(this.bringers.keys().next().value!);
    this.bringers.set(name, { by: makerName(by), isMaker });
  }
}

/** The hands of a worker, which remember what it computes itself. */
export function handsOf(store: Pick<BlockStore, 'listen'>, self: Maker, roster: Pick<Roster, 'isWorker'>): Hands {
  const hands = new Hands((id) => roster.isWorker(id));
  store.listen({
    added: (block, origin) => {
      if (origin === 'computed') hands.fetched(block, self);
    },
  });
  return hands;
}

function nameOf({ key, digest }: SealedBlock): string {
  return `${key} ${digest}`;
}
