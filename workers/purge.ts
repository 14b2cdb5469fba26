import type { BlockKey, BlockMeta, TierName } from '../src/core/block.js';
import { sampleOf } from '../src/core/key-sample.js';
import { type PurgeSelector, selects } from '../src/core/purge-selector.js';
import { HOLDINGS_KEYS_PER_MESSAGE } from '../src/protocol/holdings.js';
import type { PurgeCounts } from '../src/protocol/worker.js';
import { withDescendants } from './audit/descendants.js';
import type { BlockStore } from './cache/block-store.js';

/** Drops the blocks of a purge from all tiers of this worker. */

/** Rounds that look for blocks that were incoming. */
const ROUNDS = 8;

export interface PurgeOptions {
  readonly store: Pick<BlockStore, 'metas' | 'tiersOf' | 'drop' | 'idle' | 'disk' | 'filesRemoved'>;
  /** Whether another worker is the first home of a block: the copy here is then a replica. */
  readonly isReplica: (block: BlockMeta) => boolean;
}

/**
 * Drops the blocks that a selector chooses, and all their descendants. A block in transit to a tier is dropped on arrival. Resolves
 * when the files are gone from the disk. Not complete while files of
 * dropped blocks are on a disk that does not answer, or does not let go of them.
 */
export async function purge(
  { labels, keys }: Pick<PurgeSelector, 'labels' | 'keys'>,
  options: PurgeOptions,
): Promise<
  Omit<PurgeCounts, 'values' | 'responses'> & { readonly beyond: readonly BlockKey[]; readonly sample: Uint8Array }
> {
  const { store } = options;
  const counts = { device: 0, host: 0, disk: 0, blocks: 0, replicas: 0 };
  const counted = new Set<BlockKey>();
  for (let round = 0; round < ROUNDS; round++) {
    const dropped = dropAll({ labels, keys }, options, counts, counted);
    await store.idle();
    if (dropped === 0 && round > 0) break;
  }
  const beyond = [...counted].filter((key) => !selects({ labels, keys }, key)).slice(0, HOLDINGS_KEYS_PER_MESSAGE);
  const complete = (await store.filesRemoved()) && store.disk !== 'away';
  return { ...counts, complete, beyond, sample: sampleOf(counted) };
}

/** Returns how many blocks were here. */
function dropAll(
  selector: Pick<PurgeSelector, 'labels' | 'keys'>,
  { store, isReplica }: PurgeOptions,
  counts: Record<TierName | 'blocks' | 'replicas', number>,
  counted: Set<BlockKey>,
): number {
  const metas = new Map<BlockKey, BlockMeta>();
  for (const meta of store.metas()) metas.set(meta.key, meta);
  const roots = [...metas.keys()].filter((key) => selects(selector, key));
  // A key that is asked for need not be here for its descendants to be.
  const found = withDescendants(metas.values(), [...roots, ...selector.keys]);
  for (const key of found) {
    for (const tier of store.tiersOf(key)) counts[tier]++;
    store.drop(key, 'purged');
    if (counted.has(key)) continue;
    counted.add(key);
    counts.blocks++;
    if (isReplica(metas.get(key)!)) counts.replicas++;
  }
  return found.size;
}
