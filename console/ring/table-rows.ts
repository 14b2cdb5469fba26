import type { FeedWorker } from '../../src/console/feed-messages.js';

/** Which workers stand in the table beside the ring. Pure. */

/** Rows of a short table: a long one would push what stands below out of sight, and cost frames of the ring. @internal exported for tests. */
export const SHORT_ROWS = 16;

/** In their order: those that do not serve, the chosen one, and the first of the others as far as there is room. All, if only a few are left out. */
export function shortRows(workers: readonly FeedWorker[], chosen: string | null): readonly FeedWorker[] {
  if (workers.length <= SHORT_ROWS + 4) return workers;
  const matters = ({ id, state, quarantined }: FeedWorker) => state !== 'serving' || quarantined || id === chosen;
  const first = workers.filter(matters).slice(0, SHORT_ROWS);
  const others = workers.filter((worker) => !matters(worker)).slice(0, SHORT_ROWS - first.length);
  const shown = new Set([...first, ...others]);
  return workers.filter((worker) => shown.has(worker));
}
