import { logged } from '../src/actors/logged.js';
import { ActorSystem } from '../src/actors/system.js';
import { blockBytes } from '../src/core/kv-layout.js';
import type { Roster } from '../src/fleet/roster.js';
import { PacedLog } from '../src/paced-log.js';
import { PeerCallLinks } from '../src/peer/calls/peer-call-links.js';
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

export function makeCallLinks(options: WorkerOptions, instruments: Instruments, roster: Roster): PeerCallLinks {
  const log = new PacedLog(options.log, options.clock);
  return new PeerCallLinks({
    ...peerOptions(options, instruments),
    addressOf: ({ node, incarnation }) => roster.addressOf(node, incarnation),
    onLinkOpened: ({ node, incarnation }) =>
      log.info({ peer: node, peerIncarnation: incarnation }, 'opened a connection for calls'),
    onLinkClosed: ({ node, incarnation }, err) => {
      log.info({ peer: node, peerIncarnation: incarnation, err }, 'lost a connection for calls');
      roster.linkClosed(node, incarnation);
    },
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
