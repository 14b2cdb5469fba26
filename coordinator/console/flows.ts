import type { BlockFlow } from '../../src/console/feed-messages.js';
import type { ActivityNews } from './worker-activities.js';

/** The blocks that went from worker to worker since the pages were told last. */

/** Pairs of workers of one message; those with the most blocks. @internal exported for tests. */
export const TOLD_FLOWS = 128;

export class Flows {
  private flows = new Map<string, BlockFlow>();

  add({ worker: to, received }: Pick<ActivityNews, 'worker' | 'received'>): void {
    for (const { peer: from, fetched, pushed } of received) {
      const pair = `${from} ${to}`;
      const known = this.flows.get(pair);
      this.flows.set(pair, {
        ...{ from, to },
        fetched: (known?.fetched ?? 0) + fetched,
        copied: (known?.copied ?? 0) + pushed,
      });
    }
  }

  /** Gives what there is, and begins anew. */
  take(): BlockFlow[] {
    const flows = [...this.flows.values()];
    this.flows = new Map();
    const size = ({ fetched, copied }: BlockFlow) => fetched + copied;
    return flows.length <= TOLD_FLOWS ? flows : flows.sort((a, b) => size(b) - size(a)).slice(0, TOLD_FLOWS);
  }
}
