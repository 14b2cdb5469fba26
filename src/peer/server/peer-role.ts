import { sameMaker } from '../../core/maker.js';
import { Refused } from '../../errors.js';
import type { PeerIdentity } from '../wire/handshake.js';
import type { ClientMessage } from '../wire/messages.js';

/** What a peer may ask of a worker's blocks. Everyone who gets this far has proved the secret of the cluster. */

/**
 * `worker`: a living member in this incarnation. `coordinator`: one that has announced itself in this incarnation, and has a link for calls.
 * `stranger`: anybody else.
 */
export type PeerRole = 'worker' | 'coordinator' | 'stranger';

/** Coordinators read blocks for their clients, and write those that their clients bring. */
const FOR_COORDINATORS: ReadonlySet<ClientMessage['type']> = new Set(['fetch', 'pin', 'offer']);
const FOR_WORKERS: ReadonlySet<ClientMessage['type']> = new Set([...FOR_COORDINATORS, 'repair', 'compare']);

/** Why a peer of this role may not make a request; null if it may. A ping is for everyone: a coordinator pings a worker before it has a link for calls. */
export function refusal(message: ClientMessage, peer: PeerIdentity, role: PeerRole): Refused | null {
  const { id, incarnation } = peer;
  if (role === 'worker' || !FOR_WORKERS.has(message.type)) return null;
  if (role === 'stranger') {
    return new Refused(
      `${id} (incarnation ${incarnation}) is not a member of this fleet: only its workers and coordinators fetch and push blocks`,
    );
  }
  if (!FOR_COORDINATORS.has(message.type)) {
    return new Refused(`${id} is a coordinator: '${message.type}' is for workers`);
  }
  const isForeign = message.type === 'offer' && message.blocks.some(({ maker }) => !sameMaker(maker, peer));
  return isForeign ? new Refused(`${id} is a coordinator: it may push only blocks that name it as their maker`) : null;
}
