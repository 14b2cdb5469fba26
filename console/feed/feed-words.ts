import type { FeedStatus } from './feed-status.js';
import type { FleetModel } from './fleet-model.js';

/** What the page knows of the fleet as a whole, and since when it knows nothing newer. Pure. */

/** Such as `15:34`. */
function clockText(wallMs: number): string {
  return new Date(wallMs).toLocaleTimeString('en-GB', { timeStyle: 'short' });
}

/** How many workers serve, or since when the page does not know. */
export function servingText({ workers }: Pick<FleetModel, 'workers'>, status: FeedStatus): string {
  if (status.state === 'lost') return status.since === null ? 'unknown' : `unknown since ${clockText(status.since)}`;
  const serving = [...workers.values()].filter(({ state }) => state === 'serving').length;
  return `${serving}/${workers.size} serving`;
}

/** What a reader has to know of a page that is not live. */
export function lostText({ why, since }: Extract<FeedStatus, { state: 'lost' }>): string {
  const shown = since === null ? '' : ` The page shows what was known at ${clockText(since)}.`;
  return `Not live: ${why}. Trying again.${shown}`;
}
