import type { RequestOf, TellNames } from '../actors/protocol.js';
import type { ActorSystem } from '../actors/system.js';
import type { Clock } from '../clock.js';
import type { Announcement } from '../core/member.js';
import { FLEET_COORDINATORS } from '../limits.js';
import { COORDINATOR_ACTOR, CoordinatorProtocol } from '../protocol/coordinator.js';
import type { KnownCoordinators } from './known-coordinators.js';

/**
 * Sends a worker's announcements and holdings to coordinators over direct links: to all of them while this worker does not hear the bus, and
 * to coordinators that ask for it because they do not hear the bus themselves. To the latter it also forwards other workers' announcements.
 */
export class LinkedCoordinators {
  /** Ids of the coordinators that asked, with the time until which they are served. */
  private readonly followers = new Map<string, number>();
  /** By follower, the epoch of the view that was last sent to it. */
  private readonly relayed = new Map<string, string>();

  constructor(
    private readonly actors: Pick<ActorSystem, 'linkedNodes' | 'ref'>,
    private readonly clock: Clock,
    private readonly view: {
      /** Whether this worker hears the bus. Its messages may be lost long before the bus notices. */
      readonly hears: boolean;
      /** Whether a worker has this id, living or not. */
      isWorker(id: string): boolean;
    },
    private readonly known: Pick<KnownCoordinators, 'has'>,
  ) {}

  /**
   * Whether this process is a coordinator that has announced itself, and has a direct link to this worker now. A link alone says only that somebody
   * knows the secret.
   */
  includes(coordinator: string, incarnation: string): boolean {
    if (this.view.isWorker(coordinator) || !this.known.has(coordinator, incarnation)) return false;
    return this.actors.linkedNodes().some((peer) => peer.node === coordinator && peer.incarnation === incarnation);
  }

  /** Sends everything to a coordinator for a while. Returns whether it is a new follower. */
  follow(coordinator: string, forMs: number): boolean {
    const nowMs = this.clock.now();
    for (const [id, untilMs] of this.followers) {
      if (untilMs > nowMs) continue;
      this.followers.delete(id);
      this.relayed.delete(id);
    }
    const isNew = !this.followers.has(coordinator);
    if (!isNew || this.followers.size < FLEET_COORDINATORS) this.followers.set(coordinator, nowMs + forMs);
    return isNew;
  }

  /** Whether a follower lacks this worker's view, `own`, and was not sent it yet. It counts as sent from now on. */
  differs(coordinator: string, its: string, own: string): boolean {
    if (its === own || !this.followers.has(coordinator) || this.relayed.get(coordinator) === own) return false;
    this.relayed.set(coordinator, own);
    return true;
  }

  /** Forwards another worker's announcement. */
  relay(coordinator: string, announcement: Announcement): void {
    for (const node of this.actors.linkedNodes()) {
      if (node.node !== coordinator) continue;
      this.actors.ref(CoordinatorProtocol, { ...node, actor: COORDINATOR_ACTOR }).tell('announced', announcement);
    }
  }

  /** Sends a message to the coordinators that may not get it otherwise. `published`: the bus has taken it. */
  tell<K extends TellNames<typeof CoordinatorProtocol>>(
    method: K,
    message: RequestOf<typeof CoordinatorProtocol, K>,
    published: boolean,
  ): void {
    const everybody = !published || !this.view.hears;
    if (!everybody && this.followers.size === 0) return;
    const nowMs = this.clock.now();
    for (const node of this.actors.linkedNodes()) {
      if (!everybody && (this.followers.get(node.node) ?? nowMs) <= nowMs) continue;
      // A node without this actor, such as a worker, drops the message.
      this.actors.ref(CoordinatorProtocol, { ...node, actor: COORDINATOR_ACTOR }).tell(method, message);
    }
  }
}
