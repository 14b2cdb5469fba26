import type { RequestOf, TellNames } from '../actors/protocol.js';
import type { ActorSystem } from '../actors/system.js';
import { COORDINATOR_ACTOR, CoordinatorProtocol } from '../protocol/coordinator.js';

/** Tells all coordinators to which direct links are open what they cannot hear on the bus while it is lost. */
export class LinkedCoordinators {
  constructor(private readonly actors: ActorSystem) {}

  tell<K extends TellNames<typeof CoordinatorProtocol>>(
    method: K,
    message: RequestOf<typeof CoordinatorProtocol, K>,
  ): void {
    for (const node of this.actors.linkedNodes()) {
      // A node that is no coordinator has no such actor, and drops the message.
      this.actors.ref(CoordinatorProtocol, { ...node, actor: COORDINATOR_ACTOR }).tell(method, message);
    }
  }
}
