import type { CopyCounts, FeedWorker } from '../../src/console/feed-messages.js';
import { byteText, counted, percent } from '../parts/words.js';

/** The fleet's memory in words. Pure. */

interface MemoryRules {
  /** Copies of each block, while there are so many workers. */
  readonly replicas: number;
  /** Whether the counts are rounded, so that a few blocks count as none. */
  readonly rounded: boolean;
}

/** @param living the workers that have memory */
export function memoryText(
  living: readonly Pick<FeedWorker, 'blocks' | 'bytes' | 'budget'>[],
  { blocks, below }: CopyCounts,
  { replicas, rounded }: MemoryRules,
): string {
  if (living.length === 0) return 'No worker lives, so the fleet has no memory now.';
  const sum = (of: (worker: (typeof living)[number]) => number) => living.reduce((total, each) => total + of(each), 0);
  const [used, budget] = [sum(({ bytes }) => bytes), sum((each) => each.budget)];
  const room = `${byteText(used)} of ${byteText(budget)} in use (${percent(used, budget)}).`;
  if (blocks === 0) {
    const none = rounded ? 'No blocks, or so few that the rounded counts show none' : 'No blocks';
    return `${none}. ${room}`;
  }
  const copies = sum((each) => each.blocks);
  const counts = `${counted(blocks, 'different block')} of 64 tokens, with all copies ${copies.toLocaleString('en')}; ${room}`;
  if (below > 0) return `${counts} ${counted(below, 'block')} ${below === 1 ? 'lacks' : 'lack'} a copy.`;
  const kept = Math.min(replicas, living.length);
  return `${counts} Each block is on ${counted(kept, 'worker')}${kept < living.length ? ' or more' : ''}.`;
}
