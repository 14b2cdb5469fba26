import type { BlockKey } from '../src/core/block.js';
import type { BlockStore } from './cache/block-store.js';

/** The blocks that a worker never evicts, by order of the keeper of retentions. */

export type RetentionAnswer =
  | { readonly type: 'retained'; readonly missing: readonly BlockKey[] }
  /** The order was refused: another keeper has given orders under this higher number. */
  | { readonly type: 'fenced'; readonly fence: number };

/**
 * Obeys one keeper of retentions at a time. A keeper gives its orders under the fencing number of its lease. One that was paused while another
 * took over gives them under a lower number than the worker has seen, and is refused.
 */
export class WorkerRetention {
  private fence = 0;

  constructor(private readonly store: Pick<BlockStore, 'retain' | 'tierOf' | 'disk'>) {}

  /** Retains exactly these blocks from now on, whether they are here or not. `missing` are the blocks that cannot be read here now. */
  obey(fence: number, keys: readonly BlockKey[]): RetentionAnswer {
    if (fence < this.fence) return { type: 'fenced', fence: this.fence };
    this.fence = fence;
    this.store.retain(new Set(keys));
    return { type: 'retained', missing: keys.filter((key) => !this.isReadable(key)) };
  }

  /** A disk that does not answer gives no block, though it keeps its index. */
  private isReadable(key: BlockKey): boolean {
    const tier = this.store.tierOf(key);
    return tier !== null && (tier !== 'disk' || this.store.disk === 'answers');
  }
}
