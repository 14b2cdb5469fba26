import type { BlockKey, BlockMeta } from '../../src/core/block.js';
import type { HomesOf } from '../../src/core/replication.js';

/** Assigns the blocks of a fleet's retentions to workers, and finds the missing ones. */

/** A retention with the blocks of its prompt. */
export interface RetainedBlocks {
  readonly id: string;
  readonly blocks: readonly BlockMeta[];
}

/** The workers at the time of an assignment. */
export interface Workforce {
  /** The homes of a segment on the current ring. */
  readonly homesOf: HomesOf;
  /** Most blocks that a worker may have to retain. */
  readonly mostBlocks: (worker: string) => number;
}

/** How far a retention is fulfilled. */
export interface Fulfilment {
  readonly id: string;
  /** Homes that have all its blocks that they are to have, for the block with the fewest. */
  readonly copies: number;
  /** Whether each block is at all of its homes. */
  readonly held: boolean;
  /** A block that no worker has is among its blocks. */
  readonly lost: boolean;
  /** Blocks that homes lack and have a duty to have, by home. */
  readonly lacking: ReadonlyMap<string, number>;
}

/**
 * The duties of the fleet's workers: each home of a retained block has to have it, the blocks of the oldest retentions first, as long as the home
 * has memory for them.
 */
export class Assignment {
  private readonly duties = new Map<string, Set<BlockKey>>();
  /** The homes of each retained block on the current ring. */
  private readonly homes = new Map<BlockKey, readonly string[]>();
  /** The blocks that each worker was found to have. */
  private readonly found = new Map<string, ReadonlySet<BlockKey>>();

  /** `retained` are the retentions, oldest first. */
  constructor(
    private readonly retained: readonly RetainedBlocks[],
    { homesOf, mostBlocks }: Workforce,
  ) {
    for (const { key, segment } of retained.flatMap(({ blocks }) => blocks)) {
      if (this.homes.has(key)) continue;
      const homes = homesOf(segment);
      this.homes.set(key, homes);
      for (const home of homes) {
        const duty = this.duties.get(home) ?? new Set();
        this.duties.set(home, duty);
        if (duty.size < mostBlocks(home)) duty.add(key);
      }
    }
  }

  /** Records which of its assigned blocks a worker has. */
  has(worker: string, keys: ReadonlySet<BlockKey>): void {
    this.found.set(worker, keys);
  }

  /**
   * The blocks that a worker must retain: its duty, and every block that is not yet at all of its homes, since this worker may have the
   * only copy. `settled` are the blocks that were found at all of their homes on this ring.
   */
  keysFor(worker: string, settled: ReadonlySet<BlockKey>): Set<BlockKey> {
    const keys = new Set<BlockKey>();
    const duty = this.duties.get(worker);
    for (const [key, homes] of this.homes) {
      if (homes.includes(worker) ? duty?.has(key) : !settled.has(key)) keys.add(key);
    }
    return keys;
  }

  /** The blocks that each of their homes has. */
  settled(): BlockKey[] {
    return [...this.homes.keys()].filter((key) => this.isSettled(key));
  }

  /** How far each retention is fulfilled, in their order. */
  progress(): Fulfilment[] {
    return this.retained.map(({ id, blocks }) => {
      const lacking = new Map<string, number>();
      let copies = Number.POSITIVE_INFINITY;
      for (const { key } of blocks) {
        const homes = this.homes.get(key)!;
        const without = homes.filter((home) => !this.found.get(home)?.has(key));
        copies = Math.min(copies, homes.length - without.length);
        for (const home of without) {
          if (this.duties.get(home)!.has(key)) lacking.set(home, (lacking.get(home) ?? 0) + 1);
        }
      }
      const held = blocks.every(({ key }) => this.isSettled(key));
      const lost = blocks.some(({ key }) => ![...this.found.values()].some((keys) => keys.has(key)));
      return { id, copies, held, lost, lacking };
    });
  }

  /** A block without a home is not settled. */
  private isSettled(key: BlockKey): boolean {
    const homes = this.homes.get(key) ?? [];
    return homes.length > 0 && homes.every((home) => this.found.get(home)?.has(key));
  }
}
