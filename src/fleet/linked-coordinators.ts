import type { RequestOf, TellNames } from '../actors/protocol.js';
import type { ActorSystem } from '../actors/system.js';
import { COORDINATOR_ACTOR, CoordinatorProtocol } from '../protocol/coordinator.js';

/** Sends a worker's announcements and holdings to coordinators over direct links while the bus is lost. */
export class LinkedCoordinators {
  constructor(private readonly actors: ActorSystem) {}

  tell<K extends TellNames<typeof CoordinatorProtocol>>(
    method: K,
    message: RequestOf<typeof CoordinatorProtocol, K>,
  ): void {
    for (const node of this.actors.linkedNodes()) {
      // A node without this actor, such as a worker, drops the message.
      this.actors.ref(CoordinatorProtocol, { ...node, actor: COORDINATOR_ACTOR }).tell(method, message);
    }
  }
}
