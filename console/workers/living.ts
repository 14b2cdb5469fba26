import type { FeedWorker } from '../../src/console/feed-messages.js';

/** The counts of workers that can be true. Pure. */

/** Whether its counts are of now: what a dead worker told last is no longer true. */
export function isLiving({ state }: Pick<FeedWorker, 'state'>): boolean {
  return state !== 'dead';
}

/** Requests that run on the workers that live. */
export function runningOn(workers: readonly FeedWorker[]): number {
  return workers.filter(isLiving).reduce((sum, { running }) => sum + running, 0);
}
