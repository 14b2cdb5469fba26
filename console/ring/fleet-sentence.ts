import type { CopyCounts } from '../../src/console/feed-messages.js';
import type { FleetModel } from '../feed/fleet-model.js';
import { counted } from '../parts/words.js';

/** The state of the fleet in a sentence or two, for a reader who opens the page. Pure. */

export interface FleetSentence {
  readonly tone: 'calm' | 'busy' | 'trouble';
  readonly text: string;
}

/** @param lost whether the page hears nothing of the fleet */
export function fleetSentence(model: FleetModel, lost = false): FleetSentence {
  const { hello, workers, copies, replicas, nats, snapshots } = model;
  if (snapshots.length === 0) return { tone: 'calm', text: 'Waiting for the first news of the fleet.' };
  if (lost) return { tone: 'trouble', text: 'How the fleet is now is unknown. The page shows what it knew last.' };
  const all = [...workers.values()];
  const serving = all.filter(({ state }) => state === 'serving').length;
  const named = (state: string) => all.filter((worker) => worker.state === state).map(({ id }) => id);
  const suspect = named('suspect');
  const dead = named('dead');
  const troubles = [
    ...(nats ? [] : ['NATS is lost; requests use direct connections.']),
    ...(dead.length > 0 ? [`${list(dead)} ${are(dead)} dead.`] : []),
    ...(suspect.length > 0 ? [`${list(suspect)} ${do_(suspect)} not answer.`] : []),
  ];
  if (serving === 0)
    return { tone: 'trouble', text: [...troubles, 'No worker serves: requests wait or fail.'].join(' ') };
  const kept = Math.min(replicas, serving);
  const share = `${counted(serving, 'worker')} ${serving === 1 ? 'serves' : 'share one memory'}.`;
  const blocks = hello?.role === 'user' ? roundedBlocks(copies) : exactBlocks(copies, kept);
  const tone = troubles.length > 0 ? 'trouble' : copies.below > 0 ? 'busy' : 'calm';
  return { tone, text: [...troubles, share, blocks].join(' ') };
}

function exactBlocks({ blocks, below }: CopyCounts, kept: number): string {
  if (blocks === 0) return 'It is empty until the next prompt of 64 tokens or more.';
  const all = `${counted(blocks, 'block')} of 64 tokens`;
  if (below === 0) return `${all}, each on ${counted(kept, 'worker')} or more.`;
  const copies = counted(kept, 'copy').replace('copys', 'copies');
  const [have, are] = below === 1 ? ['has', 'is'] : ['have', 'are'];
  return `${all}; ${below.toLocaleString('en')} ${have} fewer than ${copies}, and ${are} being copied while there is room.`;
}

/** The counts of users: 0 is any number below 64. */
function roundedBlocks({ blocks, below }: CopyCounts): string {
  const number = blocks === 0 ? 'fewer than 64 blocks' : `about ${counted(blocks, 'block')}`;
  const short = below === 0 ? '' : `, of which about ${below.toLocaleString('en')} lack a copy`;
  return `It keeps ${number} of 64 tokens${short}. The counts of a user are rounded, and up to a minute old.`;
}

function list(ids: readonly string[]): string {
  if (ids.length > 3) return `${ids.length} workers`;
  return ids.length === 1 ? ids[0]! : `${ids.slice(0, -1).join(', ')} and ${ids.at(-1)}`;
}

const are = (ids: readonly string[]) => (ids.length === 1 ? 'is' : 'are');
const do_ = (ids: readonly string[]) => (ids.length === 1 ? 'does' : 'do');
