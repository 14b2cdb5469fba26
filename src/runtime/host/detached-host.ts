import { InvalidRequest, Overloaded, Unavailable } from '../../errors.js';
import type { Lifecycle } from '../../lifecycle.js';
import type { ActorRecords } from '../detached/actor-records.js';
import { LeaseKeeper } from '../detached/lease-keeper.js';
import { createDetached } from '../detached/takeover.js';
import type { RuntimeMember } from '../member/member.js';
import type { ActorName, InstanceSpec, WireValue } from '../messages.js';

/** The detached actors of this node: they are in its lease before they are adopted, and answer only while the lease is valid. */

export class DetachedHost {
  readonly lease: LeaseKeeper;

  constructor(
    private readonly member: RuntimeMember,
    private readonly records: ActorRecords,
    /** Others have taken over all detached actors of this node. */
    onFenced: () => void,
  ) {
    this.lease = new LeaseKeeper(member, records, onFenced);
  }

  start(life: Lifecycle): void {
    this.lease.start();
    life.use(this.lease, (lease) => lease.stop());
  }

  /**
   * Records that an actor is on this node from now on. False if its record does not name `from` any more.
   * @throws Overloaded if this node cannot have detached actors now
   */
  async adopt(spec: InstanceSpec, epoch: number, from: string | null): Promise<boolean> {
    const name = nameOf(spec);
    try {
      await this.lease.add(spec.id, name);
      if (await this.record(spec, name, epoch, from)) return true;
    } catch (error) {
      this.lease.remove(spec.id);
      if (!(error instanceof Unavailable)) throw error;
      throw new Overloaded(`this node cannot have detached actors now: ${error.message}`);
    }
    this.lease.remove(spec.id);
    return false;
  }

  /** The newest state of an actor that was adopted here, in a list; null if it has none. No earlier life of it can write its state from now on. */
  async restored(spec: InstanceSpec, epoch: number): Promise<WireValue | null> {
    const name = nameOf(spec);
    const before = await this.records.state(name);
    const state = before?.record.id === spec.id ? before.record.state : null;
    if (await this.records.setState(name, { id: spec.id, epoch, state }, before)) return state;
    throw new Unavailable('another node has the actor');
  }

  /** Keeps a state in the actor's record. False if the actor is elsewhere. @throws InvalidRequest if it is too large, Overloaded if the store is nearly full */
  async keep(spec: InstanceSpec, epoch: number, state: WireValue): Promise<boolean> {
    if ('object' in state) {
      throw new InvalidRequest('the state of a detached actor must have at most 64 KiB, because it is recorded');
    }
    const name = nameOf(spec);
    const before = await this.records.state(name);
    if (before?.record.id !== spec.id || before.record.epoch !== epoch) return false;
    return this.records.growState(name, { id: spec.id, epoch, state }, before);
  }

  /** The actor has ended here: by a kill, which frees its name unless it is restarted, or because it could not be created. */
  async ended(spec: InstanceSpec, epoch: number, restart: boolean): Promise<void> {
    this.lease.remove(spec.id);
    if (restart && epoch < spec.maxRestarts) {
      await createDetached(this.member, spec, epoch + 1, this.member.self.incarnation);
      return;
    }
    const name = nameOf(spec);
    const recorded = await this.records.named(name);
    const isHere = recorded?.record.detached?.node.incarnation === this.member.self.incarnation;
    if (isHere && recorded?.record.handle.id === spec.id) await this.records.deleteName(name);
  }

  private async record(spec: InstanceSpec, name: ActorName, epoch: number, from: string | null): Promise<boolean> {
    const recorded = await this.records.named(name);
    const detached = recorded?.record.detached;
    if (!recorded || detached?.spec.id !== spec.id || detached.node.incarnation !== from) return false;
    if (detached.adopted && epoch !== detached.epoch + 1) return false;
    const adopted = { spec, node: this.member.self, adopted: true, epoch };
    return this.records.setName(name, { ...recorded.record, detached: adopted }, recorded);
  }
}

function nameOf({ namespace, name, id }: InstanceSpec): ActorName {
  return { namespace, name: name ?? id };
}
