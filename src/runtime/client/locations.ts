import type { NodeAddress } from '../../actors/envelope.js';
import type { CallOptions } from '../../actors/outgoing-call.js';
import { abortReason } from '../../async/abort.js';
import { DeadlineExceeded, Unavailable } from '../../errors.js';
import type { ActorRecords } from '../detached/actor-records.js';
import type { Takeovers } from '../detached/takeover.js';
import { ActorDied } from '../errors.js';
import type { RuntimeMember } from '../member/member.js';
import { type ActorName, OWNER_ACTOR, OwnerProtocol } from '../messages.js';
import type { HandleState } from './handle.js';

/** The locations of actors that this process knows. */

/** Limit on the actors with a cached location. */
const LOCATIONS = 65_536;

/** How long a call without a deadline waits for a detached actor whose node or record is away, and how often its record is read meanwhile. */
const DETACHED_WAIT_MS = 30_000;
const DETACHED_POLL_MS = 50;

/** The node of an actor, and how often the actor had been restarted when it was there. */
export interface Location {
  readonly node: NodeAddress;
  readonly epoch: number;
}

export class Locations {
  private readonly known = new Map<string, Location>();

  constructor(
    private readonly member: RuntimeMember,
    private readonly records: ActorRecords,
    private readonly takeovers: Takeovers,
  ) {}

  /** Where the actor was last found, if its node is still a member; null if its owner must be asked. */
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
   * @throws ActorDied if the actor is gone for good, or if no process that knows it is left; the errors of a call by `options`
   */
  async find(handle: HandleState, options: CallOptions): Promise<Location> {
    for (;;) {
      const location = await this.ask(handle, options);
      await this.member.linked(location.node);
      // A node that left in the meantime is not asked; the process that restarts the actor sees the loss too, or soon will.
      if (this.member.directory.get(location.node.incarnation) === null) continue;
      if (this.known.size >= LOCATIONS) this.known.clear();
      this.known.set(handle.id, location);
      return location;
    }
  }

  private async ask(handle: HandleState, options: CallOptions): Promise<Location> {
    const { id, owner, name: recordedAs, class: name } = handle;
    if (owner === null && recordedAs !== null) return this.recorded(handle, recordedAs, options);
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

  /**
   * Where a detached actor is by its record. Waits while the store cannot be reached, and, while the actor's node is gone, until it is elsewhere, and
   * helps.
   * @throws Unavailable after 30 s, or DeadlineExceeded after `timeoutMs`
   */
  private async recorded(handle: HandleState, name: ActorName, { signal, timeoutMs }: CallOptions): Promise<Location> {
    const { clock } = this.member.options;
    const untilMs = clock.now() + (timeoutMs ?? DETACHED_WAIT_MS);
    for (;;) {
      if (signal?.aborted) throw abortReason(signal);
      this.member.requireOpen();
      const found = await this.lookUp(handle, name);
      if (!(found instanceof Unavailable)) return found;
      if (clock.now() >= untilMs)
        throw timeoutMs === undefined ? found : new DeadlineExceeded(found.message, { cause: found });
      await new Promise<void>((resolve) => clock.after(DETACHED_POLL_MS, resolve));
    }
  }

  /** Where a detached actor is; an error if that is not known yet. @throws ActorDied */
  private async lookUp({ id }: HandleState, name: ActorName): Promise<Location | Unavailable> {
    const unfound = (why: string) => new Unavailable(`cannot find the actor ${name.name}: ${why}`);
    const recorded = await this.records.named(name).catch((error: unknown) => {
      if (error instanceof Unavailable) return unfound(error.message);
      throw error;
    });
    if (recorded instanceof Unavailable) return recorded;
    const detached = recorded?.record.detached;
    if (!detached || detached.spec.id !== id) throw new ActorDied(`the actor ${name.name} ${id} is dead`, false);
    const { node, epoch, adopted } = detached;
    const { directory } = this.member;
    const isThere = directory.hears(node.incarnation) || directory.isBusy(node.incarnation);
    if (isThere && adopted) return { node, epoch };
    if (!isThere) void this.takeovers.rescue(name, node.incarnation);
    return unfound(`its node ${node.node} is gone, and no other node has it yet`);
  }
}
