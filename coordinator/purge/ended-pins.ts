import { LOOP_TURNS } from '../../src/async/loop-turns.js';
import type { BlockMeta } from '../../src/core/block.js';
import { type PurgeSelector, selects } from '../../src/core/purge-selector.js';
import { layersOf, ownerLabel, ownSalt, type Salt, saltLabel } from '../../src/core/salt.js';
import { BLOCK_TOKENS } from '../../src/limits.js';
import type { AdapterRef } from '../../src/protocol/adapter.js';
import { saltOwner } from '../access/principal.js';
import type { Retention } from '../retention/retention.js';
import type { RetentionStore, StoredPrompt } from '../retention/retention-store.js';

/** The pins that a purge ends: a purged tenant's pins, and pins that lose a block, because their keeper would recompute that block. */

export type BlocksOf = (tokens: Uint32Array, salt: Salt | null, adapter?: AdapterRef | null) => readonly BlockMeta[];

/** Rejects with `Unavailable` if the bucket cannot be reached. */
export async function endedPins(
  store: Pick<RetentionStore, 'list' | 'prompt'>,
  selector: PurgeSelector,
  blocksOf: BlocksOf,
): Promise<Retention[]> {
  const ended: Retention[] = [];
  for (const retention of await store.list()) {
    if (isOfPurgedTenant(retention, selector) || (await isSelected(retention, store, selector, blocksOf)))
      ended.push(retention);
  }
  return ended;
}

/** The pin's prompt is the tenant's data too, even if all its blocks belong to a layer. A prefix that it published belongs to the layer's readers. */
function isOfPurgedTenant({ owner, layer }: Retention, { labels }: PurgeSelector): boolean {
  return owner !== null && layer === null && labels.includes(ownerLabel(saltOwner(owner)));
}

async function isSelected(
  retention: Retention,
  store: Pick<RetentionStore, 'prompt'>,
  selector: PurgeSelector,
  blocksOf: BlocksOf,
): Promise<boolean> {
  if (selects(selector, retention.last)) return true;
  const prompt = await store.prompt(retention);
  if (prompt === null) return false;
  if (labelsOf(prompt).some((label) => selector.labels.some((chosen) => label.startsWith(chosen)))) return true;
  if (selector.keys.size === 0) return false;
  // Its keys take milliseconds if it is long.
  await LOOP_TURNS.next();
  return blocksOf(prompt.tokens, prompt.salt, prompt.adapter).some(({ key }) => selector.keys.has(key));
}

/** The labels of the salts under which the prompt has blocks. */
function labelsOf({ tokens, salt }: StoredPrompt): string[] {
  const layers = layersOf(salt ?? '');
  const own = Math.floor(tokens.length / BLOCK_TOKENS) > (layers.at(-1)?.blocks ?? 0) ? [ownSalt(salt ?? '')] : [];
  return [...layers.map((layer) => layer.salt), ...own].map(saltLabel);
}
