import type { BlockKey } from './block.js';
import { labelOf } from './key.js';

/** Chooses the blocks that a purge drops. */
export interface PurgeSelector {
  /** Labels of salts, or the first halves of labels, which name owners; in hex. */
  readonly labels: readonly string[];
  readonly keys: ReadonlySet<BlockKey>;
}

/** Whether a purge asks for this block itself. Blocks that stand on one that it asks for go too. */
export function selects({ labels, keys }: PurgeSelector, key: BlockKey): boolean {
  return keys.has(key) || labels.some((label) => labelOf(key).startsWith(label));
}
