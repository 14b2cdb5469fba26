import type { NodeAddress } from '../../actors/envelope.js';
import type { CallOptions } from '../../actors/outgoing-call.js';
import { Unavailable } from '../../errors.js';
import { ActorDied } from '../errors.js';
import type { RuntimeMember } from '../member/member.js';
import { OWNER_ACTOR, OwnerProtocol } from '../messages.js';
import type { HandleState } from './handle.js';

/** Where actors are, as far as this process knows. */

/** Limit on the actors whose node is remembered. */
const LOCATIONS = 65_536;

/** The node of an actor, and how often the actor had been restarted when it was there. */
export interface Location {
  readonly node: NodeAddress;
  readonly epoch: number;
}

export class Locations {
  private readonly known = new Map<string, Location>();

  constructor(private readonly member: RuntimeMember) {}

  /** Where the actor was last found, if its node is still a member; null if that has to be asked. */
  last(id: string): Location | null {
    const location = this.known.get(id);
    return location && this.member.directory.get(location.node.incarnation) ? location : null;
  }

  /** The actor is not there, or not any more. */
  forget(id: string, location: Location): void {
    if (this.known.get(id) === location) this.known.delete(id);
  }

  /**
   * Asks where an actor is, and waits while it is being created or restarted. There may be a direct connection to its node afterwards.
   * @throws ActorDied if it is gone for good, or if nobody is left who knows; the errors of a call by `options`
   */
  async find(handle: HandleState, options: CallOptions): Promise<Location> {
    for (;;) {
      const location = await this.ask(handle, options);
      await this.member.linked(location.node);
      // A node that went in the meantime is not asked; who restarts the actor knows it too, or will soon.
      if (this.member.directory.get(location.node.incarnation) === null) continue;
      if (this.known.size >= LOCATIONS) this.known.clear();
      this.known.set(handle.id, location);
      return location;
    }
  }

  private async ask({ id, owner, class: name }: HandleState, options: CallOptions): Promise<Location> {
    if (owner === null) throw new ActorDied(`the actor ${name} ${id} has no owner`, false);
    await this.member.linked(owner);
    const ref = this.member.actors.ref(OwnerProtocol, { ...owner, actor: OWNER_ACTOR });
    try {
      const answer = await ref.ask('locate', { id }, options);
      if (answer.type === 'at') return { node: answer.node, epoch: answer.epoch };
      throw new ActorDied(`the actor ${name} ${id} is dead: ${answer.why}`, false);
    } catch (error) {
      if (!(error instanceof Unavailable) || error instanceof ActorDied) throw error;
      throw new ActorDied(`the actor ${name} ${id} is dead: the process that created it is gone`, false);
    }
  }
}
