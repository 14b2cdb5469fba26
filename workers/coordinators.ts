import type { ActorSystem } from '../src/actors/system.js';
import { KnownCoordinators } from '../src/fleet/known-coordinators.js';
import { LinkedCoordinators } from '../src/fleet/linked-coordinators.js';
import type { Roster } from '../src/fleet/roster.js';
import { fleetSubjects } from '../src/fleet/subjects.js';
import type { PeerRole } from '../src/peer/server/peer-role.js';
import type { PeerIdentity } from '../src/peer/wire/handshake.js';
import type { WorkerOptions } from './compose.js';
import { SuspicionRelay } from './suspicion-relay.js';

/** What a worker knows of coordinators, what it tells them, and what they may ask of it. */

export interface CoordinatorContacts {
  /** The coordinators that have announced themselves. */
  readonly coordinators: KnownCoordinators;
  /** Sends announcements and holdings to coordinators over direct links where NATS does not carry them. */
  readonly linked: LinkedCoordinators;
  /** Passes evidence against prompts from one coordinator to the others. */
  readonly suspicions: SuspicionRelay;
}

export function coordinatorContacts(
  { config, identity, bus, clock }: WorkerOptions,
  actors: ActorSystem,
  roster: Roster,
): CoordinatorContacts {
  const coordinators = new KnownCoordinators(bus, fleetSubjects(config.namespace));
  const linked = new LinkedCoordinators(actors, clock, roster, coordinators);
  return { coordinators, linked, suspicions: new SuspicionRelay(actors, clock, identity.id) };
}

/** What each peer may ask of this worker's blocks. */
export function peerRoles(roster: Roster, linked: LinkedCoordinators): (peer: PeerIdentity) => PeerRole {
  return ({ id, incarnation }) => {
    if (roster.has(id, incarnation)) return 'worker';
    return linked.includes(id, incarnation) ? 'coordinator' : 'stranger';
  };
}
