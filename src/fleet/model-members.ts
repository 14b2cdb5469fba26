import type { Bus } from '../bus/bus.js';
import { sealTransport } from '../bus/sealed-transport.js';
import type { Transport } from '../bus/transport.js';
import type { Clock } from '../clock.js';
import type { Announcement } from '../core/member.js';
import { Cancelled } from '../errors.js';
import type { ModelMember } from '../hub/fleet/fleet-models.js';
import { ObjectLinks } from '../peer/objects/object-links.js';
import type { PeerTls } from '../peer/wire/socket.js';
import { AnnouncementMessage } from '../protocol/announcement.js';
import type { Surroundings } from '../surroundings.js';
import { readMessage } from '../wire/read-message.js';
import { newIncarnation } from './identity.js';
import { fleetSubjects } from './subjects.js';
import { tryPublish } from './try-publish.js';

/** Connects a process that has no model yet, and so is no member, to the members of its fleet that have one. */

/** Time for the transport to open, and for the first member to be heard. Without them there is the hub. */
const CONNECT_MS = 2_000;
const LISTEN_MS = 1_500;
/** Time for other members after the first. */
const GATHER_MS = 200;
/** Members that are asked for files. */
const MEMBERS = 4;

/** What the process knows of its fleet. */
interface FleetAccess {
  readonly id: string;
  readonly namespace: string;
  readonly secret: string;
  readonly peerTls: PeerTls | null;
}

interface MembersPorts {
  /** Opens the fleet's transport. Rejects with Cancelled if the signal aborts. */
  readonly connect: (signal: AbortSignal) => Promise<Transport>;
  readonly clock: Clock;
  readonly surroundings: Pick<Surroundings, 'hostId' | 'network' | 'setSendBuffer' | 'random'>;
  readonly signal: AbortSignal;
}

/**
 * Calls `use` with members of the fleet whose files can be read, those of this host first: with none if the transport or the fleet is not there.
 * The connections last as long as the call.
 * @throws Cancelled if the signal aborts, and what `use` throws
 */
export async function withModelMembers<T>(
  access: FleetAccess,
  ports: MembersPorts,
  use: (members: readonly ModelMember[]) => Promise<T>,
): Promise<T> {
  const self = { id: access.id, incarnation: newIncarnation() };
  const heard = await heardMembers(access, self, ports);
  const [first] = heard;
  if (first === undefined) return use([]);
  const { clock, surroundings } = ports;
  const byId = new Map(heard.map((member) => [member.id, member]));
  const links = new ObjectLinks({
    // A member of this fingerprint is what the process is to become.
    identity: { ...self, fingerprint: first.fingerprint },
    hostId: surroundings.hostId,
    network: surroundings.network,
    setSendBuffer: surroundings.setSendBuffer ?? undefined,
    tls: access.peerTls ?? undefined,
    secret: access.secret,
    ...{ clock, random: surroundings.random, purpose: 'models' },
    workerOf: (id) => byId.get(id) ?? null,
  });
  try {
    return await use(heard.map(({ id }) => ({ id, files: links.peer(id)! })));
  } finally {
    links.close();
  }
}

async function heardMembers(
  { namespace, secret }: FleetAccess,
  self: { readonly id: string; readonly incarnation: string },
  { connect, clock, surroundings, signal }: MembersPorts,
): Promise<Announcement[]> {
  const waiting = new AbortController();
  const stop = () => waiting.abort();
  const timer = clock.after(CONNECT_MS, stop);
  signal.addEventListener('abort', stop, { once: true });
  try {
    const transport = await connect(waiting.signal);
    timer.cancel();
    const { bus } = sealTransport(transport, { clock, random: surroundings.random, secret, self, namespace });
    try {
      return nearestFirst(await announced(bus, namespace, clock, waiting.signal), surroundings.hostId);
    } finally {
      await bus.close();
    }
  } catch (error) {
    if (error instanceof Cancelled && !signal.aborted) return [];
    throw error;
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', stop);
  }
}

/** The workers that announce themselves within a while. @throws Cancelled if the signal aborts */
async function announced(bus: Bus, namespace: string, clock: Clock, signal: AbortSignal): Promise<Announcement[]> {
  const { announce, hello } = fleetSubjects(namespace);
  const members = new Map<string, Announcement>();
  await new Promise<void>((resolve) => {
    let timer = clock.after(LISTEN_MS, resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
    bus.subscribe(announce, ({ payload }) => {
      const member = readMessage(AnnouncementMessage, payload);
      if (member === null || member.state === 'starting') return;
      if (members.size === 0) {
        timer.cancel();
        timer = clock.after(GATHER_MS, resolve);
      }
      if (members.size < MEMBERS) members.set(member.id, member);
    });
    tryPublish(bus, hello, new Uint8Array());
  });
  if (signal.aborted) throw new Cancelled('the start was stopped');
  const [first] = members.values();
  return [...members.values()].filter(({ fingerprint }) => fingerprint === first?.fingerprint);
}

function nearestFirst(members: readonly Announcement[], hostId: string): Announcement[] {
  const isNear = ({ address }: Announcement) => address.hostId === hostId;
  return [...members].sort((a, b) => Number(isNear(b)) - Number(isNear(a)));
}
