import { logged } from '../src/actors/logged.js';
import { ActorSystem } from '../src/actors/system.js';
import { blockBytes } from '../src/core/kv-layout.js';
import { dialReport } from '../src/fleet/dial-report.js';
import type { Roster } from '../src/fleet/roster.js';
import { ModelHost } from '../src/hub/fleet/model-host.js';
import type { OwnModel } from '../src/hub/fleet/shared-model.js';
import { PacedLog } from '../src/paced-log.js';
import { PeerCallLinks } from '../src/peer/calls/peer-call-links.js';
import { PeerClient } from '../src/peer/client/peer-client.js';
import { ObjectSession } from '../src/peer/objects/object-session.js';
import type { OpenSession } from '../src/peer/wire/greeting.js';
import { SpoilingClient } from './chaos/corruption.js';
import type { WorkerOptions } from './compose.js';
import type { Instruments } from './instruments.js';

/** How a worker connects to the other processes of its fleet. */

/** The options that the client and the server of the peer protocol share. */
export function peerOptions(options: WorkerOptions, instruments: Instruments) {
  const { config, identity, fingerprint, device, clock, surroundings } = options;
  return {
    identity: { id: identity.id, incarnation: identity.incarnation, fingerprint },
    secret: config.secret,
    blockBytes: blockBytes(device.layout),
    observer: instruments.peers,
    clock,
    hostId: surroundings.hostId,
    random: surroundings.random,
    network: surroundings.network,
    setSendBuffer: surroundings.setSendBuffer ?? undefined,
    tls: config.peerTls ?? undefined,
  };
}

/** Gives peers the files of the model, and takes nothing. */
export function acceptModels(files: OwnModel | null): OpenSession | undefined {
  if (files === null) return undefined;
  const host = new ModelHost(files);
  return (connection) => new ObjectSession(connection, { host, isMember: () => false, objectBytes: 0 });
}

export function makePeerClient(options: WorkerOptions, instruments: Instruments): PeerClient {
  const { surroundings, faults } = options;
  const own = { ...peerOptions(options, instruments), openMemory: surroundings.openMemory ?? undefined };
  return faults ? new SpoilingClient(own, faults.corruption) : new PeerClient(own);
}

export function makeCallLinks(options: WorkerOptions, instruments: Instruments, roster: Roster): PeerCallLinks {
  const log = new PacedLog(options.log, options.clock);
  return new PeerCallLinks({
    ...peerOptions(options, instruments),
    addressOf: ({ node, incarnation }) => roster.addressOf(node, incarnation),
    onLinkOpened: ({ node, incarnation }) =>
      log.state('calls', 'info', { peer: node, peerIncarnation: incarnation }, 'opened a connection for calls'),
    onLinkClosed: ({ node, incarnation }, err) => {
      log.state('calls', 'info', { peer: node, peerIncarnation: incarnation, err }, 'lost a connection for calls');
      roster.linkClosed(node, incarnation);
    },
    onDialFailed: dialReport(options.log),
  });
}

export function makeActors(
  { config, identity, bus, clock, surroundings, log }: WorkerOptions,
  links: PeerCallLinks,
  instruments: Instruments,
  roster: Roster,
): ActorSystem {
  const { id, incarnation } = identity;
  return new ActorSystem({
    bus,
    links,
    onCall: (path) => instruments.called(path),
    heardMs: (node) => roster.heardMs(node.node, node.incarnation),
    clock,
    random: surroundings.random,
    node: { id, incarnation },
    namespace: config.namespace,
    observe: logged(log),
  });
}
