import { natsTransport } from '../src/bus/nats-transport.js';
import type { Clock } from '../src/clock.js';
import type { NatsAccess } from '../src/config/nats-access.js';
import { withModelMembers } from '../src/fleet/model-members.js';
import { natsInbox } from '../src/fleet/nats-rights.js';
import { findModel, type MembersModel } from '../src/hub/fleet/fleet-models.js';
import type { HubId } from '../src/hub/hub-id.js';
import type { PeerTls } from '../src/peer/wire/socket.js';
import { machineSurroundings } from '../src/surroundings.js';

/** Looks for a model of the hub among the members of the fleet that a role joins. */

/** What a role is told of its fleet. */
export interface JoinedFleet {
  readonly id: string;
  readonly namespace: string;
  readonly nats: NatsAccess;
  readonly secret: string;
  readonly peerTls: PeerTls | null;
}

interface Ports {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Calls `use` with the model as members have it, or with null. @throws Cancelled if the signal aborts, and what `use` throws */
export function withModelInFleet<T>(
  role: 'coordinator' | 'worker',
  fleet: JoinedFleet,
  model: HubId,
  { clock, signal }: Ports,
  use: (inFleet: MembersModel | null) => Promise<T>,
): Promise<T> {
  const connect = (stop: AbortSignal) =>
    natsTransport({
      ...fleet.nats,
      name: `shoal ${role} ${fleet.id}, looking for its model`,
      inbox: natsInbox(fleet.namespace, role),
      signal: stop,
      onWaiting: () => {},
    });
  const ports = { connect, clock, signal, surroundings: machineSurroundings() };
  return withModelMembers(fleet, ports, async (members) => use(await findModel(members, model, signal)));
}
