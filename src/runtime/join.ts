import { join } from 'node:path';
import { natsTransport } from '../bus/nats-transport.js';
import { sealTransport } from '../bus/sealed-transport.js';
import { SystemClock } from '../clock.js';
import type { ObjectsConfig } from '../config/hosting-config.js';
import type { NatsAccess } from '../config/nats-access.js';
import type { PeerTlsConfig } from '../config/peer-tls.js';
import { actorBucket, openBucket } from '../fleet/buckets.js';
import { logBusStatus, settled } from '../fleet/bus-log.js';
import { droppedLog } from '../fleet/dropped-log.js';
import { newIncarnation } from '../fleet/identity.js';
import { type NatsRole, natsInbox } from '../fleet/nats-rights.js';
import { checkSecret } from '../fleet/secret-check.js';
import type { Lifecycle } from '../lifecycle.js';
import type { Log } from '../log.js';
import { PacedLog } from '../paced-log.js';
import { machineSurroundings } from '../surroundings.js';
import { FleetClient } from './client/fleet-client.js';
import type { CoordinatorAccess } from './client/prefix-place.js';
import { RuntimeMember, type RuntimeMemberOptions } from './member/member.js';
import { requireNoNamesake, watchNamesakes } from './member/node-namesake.js';

/** Joins the runtime of a fleet over NATS. */

export interface JoinRuntimeOptions extends Pick<RuntimeMemberOptions, 'kind' | 'id' | 'listen' | 'worker' | 'onCall'> {
  readonly namespace: string;
  readonly nats: NatsAccess;
  /** The user on NATS whose rights this process has. */
  readonly role: NatsRole;
  readonly secret: string;
  readonly peerTls: PeerTlsConfig | null;
  readonly log: Log;
  /** Ends the wait for NATS. */
  readonly leaving: AbortSignal;
  readonly objects: ObjectsConfig;
  /** The coordinator that knows where the K/V of a prefix is. */
  readonly coordinator: CoordinatorAccess;
  readonly onClose: () => Promise<void>;
}

/**
 * Resolves when this process is a member. `life` leaves again.
 * @throws Refused if it does not have the secret of the fleet, or if another node that lives has its id, Cancelled if `leaving` aborts while it waits for NATS
 */
export async function joinRuntime(
  life: Lifecycle,
  options: JoinRuntimeOptions,
): Promise<{ member: RuntimeMember; fleet: FleetClient }> {
  const { id, namespace, secret, log } = options;
  const clock = new SystemClock();
  const paced = new PacedLog(log, clock);
  const surroundings = machineSurroundings();
  const incarnation = newIncarnation();
  const onDropped = droppedLog(log, clock);
  const nats = await natsTransport({
    ...options.nats,
    name: `shoal ${options.kind} ${id}`,
    inbox: natsInbox(namespace, options.role),
    onRefused: ({ message }) => log.error({}, message),
    signal: options.leaving,
    onWaiting: ({ message }) => paced.warn({}, `trying again: ${message}`),
    onLost: (subject) => onDropped('crowded', subject),
  });
  const transport = sealTransport(nats, {
    ...{ clock, secret, namespace, random: surroundings.random },
    self: { id, incarnation },
    onDropped,
  });
  life.use(transport.bus, (bus) => bus.close());
  logBusStatus(transport.bus, paced);
  const alone = options.kind === 'node' ? requireNoNamesake({ bus: transport.bus, clock, namespace, id }) : null;
  await Promise.all([checkSecret({ transport, clock, log, namespace }), alone]);
  const { kind, listen, worker, onCall, peerTls: tls } = options;
  const member = new RuntimeMember({
    ...{ kind, id, incarnation, namespace, secret, tls, transport, clock, surroundings, log, listen, worker, onCall },
  });
  const openActors = () => openBucket(transport, actorBucket(namespace));
  const { budgetBytes, dir } = options.objects;
  const objects = { budgetBytes, dir: dir === null ? null : join(dir, `objects-${incarnation}`) };
  const fleet = new FleetClient(member, {
    openBucket: openActors,
    objects,
    coordinator: options.coordinator,
    onClose: options.onClose,
  });
  if (kind === 'node') life.use(watchNamesakes(member.directory, member.self, log), (end) => end());
  await member.start(life);
  await fleet.start(life);
  await settled(transport.bus);
  return { member, fleet };
}
