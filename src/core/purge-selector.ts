import type { BlockKey } from './block.js';
import { labelOf } from './key.js';
import { ownerDigest, ownerOf, saltDigest } from './salt.js';

/** An owner of salts, or one salt, by its digest: `ownerDigest`, `saltDigest`. */
export interface SaltGroup {
  readonly by: 'owner' | 'salt';
  readonly digest: string;
}

export function isInGroup(salt: string, { by, digest }: SaltGroup): boolean {
  return (by === 'owner' ? ownerDigest(ownerOf(salt)) : saltDigest(salt)) === digest;
}

/** Chooses what a purge drops. */
export interface PurgeSelector {
  /** Labels of salts, or the first halves of labels, which name owners; in hex. */
  readonly labels: readonly string[];
  readonly keys: ReadonlySet<BlockKey>;
  /** Whose values and stored answers it drops; none by default. */
  readonly objects?: SaltGroup | null;
  /** Whose answers for retries it drops; none by default. */
  readonly answers?: SaltGroup | null;
}

/** Whether a purge asks for this block itself. Blocks that stand on one that it asks for go too. */
export function selects({ labels, keys }: Pick<PurgeSelector, 'labels' | 'keys'>, key: BlockKey): boolean {
  return keys.has(key) || labels.some((label) => labelOf(key).startsWith(label));
}
