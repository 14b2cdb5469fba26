import type { BlockKey, SealedBlock } from '../../src/core/block.js';
import type { Debts } from '../../src/core/debts.js';
import type { BlockStore } from '../cache/block-store.js';

/** Goes through the blocks of this worker once more for homes to which debts were dropped, a portion at a time. */
export class Recovery {
  private readonly begun = new Map<string, { readonly keys: BlockKey[]; readonly dropped: number }>();

  constructor(
    private readonly store: BlockStore,
    private readonly debts: Debts,
  ) {}

  /** The next portion of blocks for a home, at most `most`. After the last portion the dropped debts count as found. */
  next(to: string, most: number): SealedBlock[] {
    const pass = this.begun.get(to) ?? { keys: this.store.keys(), dropped: this.debts.dropped(to) };
    this.begun.set(to, pass);
    const portion = pass.keys.splice(0, most);
    if (pass.keys.length === 0) {
      this.begun.delete(to);
      this.debts.found(to, pass.dropped);
    }
    return portion.flatMap((key) => this.store.sealed(key) ?? []);
  }

  /** Begins again for all homes, because the ring or the blocks have changed altogether. */
  restart(): void {
    this.begun.clear();
  }
}
