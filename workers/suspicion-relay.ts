import type { ActorSystem } from '../src/actors/system.js';
import type { Clock } from '../src/clock.js';
import { COORDINATOR_ACTOR, CoordinatorProtocol } from '../src/protocol/coordinator.js';
import type { SuspicionMessage } from '../src/protocol/suspicion.js';
import { SuspicionLedger } from './suspicion-ledger.js';

/**
 * Forwards a coordinator's evidence against prompts to the others over direct connections, and keeps it for coordinators that start later.
 * NATS may be down, and the coordinator with the evidence may be dead.
 */
export class SuspicionRelay {
  private readonly ledger: SuspicionLedger;

  constructor(
    private readonly actors: Pick<ActorSystem, 'linkedNodes' | 'ref'>,
    clock: Pick<Clock, 'now'>,
    self: string,
  ) {
    this.ledger = new SuspicionLedger(clock, self);
  }

  /** Takes a message of a coordinator. Only news is forwarded to the others. */
  hear(message: SuspicionMessage, coordinator: string): void {
    const isMomentary = message.type === 'claim' || message.type === 'here';
    if (!isMomentary && !this.ledger.take(message)) return;
    for (const node of this.actors.linkedNodes()) {
      if (node.node === coordinator) continue;
      // A node without this actor, such as a worker, drops the message.
      this.actors.ref(CoordinatorProtocol, { ...node, actor: COORDINATOR_ACTOR }).tell('suspicion', message);
    }
  }

  /** All evidence that is remembered. */
  list(): SuspicionMessage[] {
    return this.ledger.list();
  }
}
