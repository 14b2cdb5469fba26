import type { NodeAddress } from '../src/actors/envelope.js';
import type { ActorSystem } from '../src/actors/system.js';
import type { Clock } from '../src/clock.js';
import type { Roster } from '../src/fleet/roster.js';
import { COORDINATOR_ACTOR, CoordinatorProtocol } from '../src/protocol/coordinator.js';
import type { SuspicionMessage } from '../src/protocol/suspicion.js';
import { WorkerProtocol } from '../src/protocol/worker.js';
import { SuspicionLedger } from './suspicion-ledger.js';

/**
 * Passes the coordinators' evidence against prompts on from one to the others over direct connections, and keeps it for those that start later.
 * NATS may be away, the coordinator that knew the evidence may be dead, and two coordinators may have direct connections to different workers only.
 */
export class SuspicionRelay {
  private readonly ledger: SuspicionLedger;
  /** The workers to which a link was open last, as `<id> <incarnation>`. */
  private linkedPeers = new Set<string>();

  constructor(
    private readonly actors: Pick<ActorSystem, 'linkedNodes' | 'onRoutesChanged' | 'ref'>,
    clock: Pick<Clock, 'now'>,
    private readonly self: string,
    private readonly roster: Pick<Roster, 'members'>,
  ) {
    this.ledger = new SuspicionLedger(clock, self);
    actors.onRoutesChanged(() => this.tellNewPeers());
  }

  /**
   * Takes a message of a coordinator, or one that another worker passed on. Only news goes on to the others. What is momentary is never news, so
   * it goes on to workers once only.
   */
  hear(message: SuspicionMessage, sender: string): void {
    const isMomentary = message.type === 'claim' || message.type === 'here';
    if (!isMomentary && !this.ledger.take(message)) return;
    const { peers } = this;
    const fromPeer = peers.some(({ node }) => node === sender);
    const peerIds = new Set(peers.map(({ node }) => node));
    for (const node of this.actors.linkedNodes()) {
      if (node.node === sender || peerIds.has(node.node)) continue;
      this.actors.ref(CoordinatorProtocol, { ...node, actor: COORDINATOR_ACTOR }).tell('suspicion', message);
    }
    if (isMomentary && fromPeer) return;
    for (const peer of peers) if (peer.node !== sender) this.tellPeer(peer, message);
  }

  /** All evidence that is remembered. */
  list(): SuspicionMessage[] {
    return this.ledger.list();
  }

  /** A message that set out before the link was open may be lost with NATS. */
  private tellNewPeers(): void {
    const linked = new Set(this.actors.linkedNodes().map(nameOf));
    const known = this.linkedPeers;
    const peers = this.peers.filter((peer) => linked.has(nameOf(peer)));
    this.linkedPeers = new Set(peers.map(nameOf));
    const added = peers.filter((peer) => !known.has(nameOf(peer)));
    if (added.length === 0) return;
    const messages = this.list();
    for (const peer of added) for (const message of messages) this.tellPeer(peer, message);
  }

  /** The other workers that live. */
  private get peers(): NodeAddress[] {
    const others = this.roster.members().filter(({ id, state }) => id !== this.self && state !== 'dead');
    return others.map(({ id, incarnation }) => ({ node: id, incarnation }));
  }

  private tellPeer(peer: NodeAddress, message: SuspicionMessage): void {
    this.actors.ref(WorkerProtocol, { ...peer, actor: 'worker' }).tell('suspicion', message);
  }
}

function nameOf({ node, incarnation }: NodeAddress): string {
  return `${node} ${incarnation}`;
}
